#!/usr/bin/env bash
# The whole study with one command; ./run_all.sh --help says what it can do.
set -euo pipefail
# A relative path is meant from where the caller is; an empty word is none, and stays one.
absolute() { case $1 in '' | /* | '~'*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }
for folder in DSRL_DATA DSRL_WEIGHTS DSRL_CACHE DSRL_RESULTS; do
    [ -z "${!folder:-}" ] || export "$folder=$(absolute "${!folder}")"
done
arguments=() last=
for argument in "$@"; do
    [ "$last" != --out ] || argument=$(absolute "$argument")
    case $argument in --out=*) argument=--out=$(absolute "${argument#--out=}") ;; esac
    arguments+=("$argument") last=$argument
done
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"  # also through a link

for argument in "$@"; do
    case $argument in
        -h | --help) # of the study needs no environment
            may_install=no
            case ${arguments[0]} in lab | site) continue ;; esac
            for python in python3 python3.14 python3.13 python3.12 python3.11; do
                "$python" -m study.execution.run_all --help 2>/dev/null && exit
            done ;;
        --dry-run) may_install=no ;;  # prints the plan and changes nothing
    esac
done

source ./environment.sh
exec "$PYTHON" -m study.execution.run_all "${arguments[@]}"

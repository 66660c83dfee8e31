from .loader import loader_bench as loader_bench

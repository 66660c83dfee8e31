"""What the runs say: tables, intervals, verdicts and figures, from run directories alone (never torch)."""

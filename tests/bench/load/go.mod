module tlog.invalid/bench/load

go 1.22

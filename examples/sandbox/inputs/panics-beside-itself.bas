10 REM After 50 ms, line 100 runs on a goroutine of its own, where nobody recovers
20 TIMER 50, 100
30 GOTO 30
100 LET X = 1 / 0

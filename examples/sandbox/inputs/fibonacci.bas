10 REM The 90th Fibonacci number
20 LET A = 0
30 LET B = 1
40 LET N = 0
50 LET C = A + B
60 LET A = B
70 LET B = C
80 LET N = N + 1
90 IF N < 90 THEN 50
100 END A

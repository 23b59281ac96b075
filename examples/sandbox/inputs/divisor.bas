10 REM The greatest common divisor, as Euclid found it
20 LET A = 3528
30 LET B = 3780
40 IF B == 0 THEN 90
50 LET REST = A % B
60 LET A = B
70 LET B = REST
80 GOTO 40
90 END A

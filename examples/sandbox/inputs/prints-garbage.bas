10 REM A megabyte of zeros, bells, and escape codes that clear the screen
20 LET A = CHR(0) + CHR(255) + CHR(7) + CHR(27) + "[2J"
30 LET N = 0
40 LET A = A + A
50 LET N = N + 1
60 IF N < 17 THEN 40
70 PRINT A
80 END "a good result, behind much noise"

10 LET A = "more"
20 LET A = A + A
30 GOTO 20

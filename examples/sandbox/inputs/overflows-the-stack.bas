10 REM A subroutine that calls itself, and never returns
20 GOSUB 20
30 RETURN

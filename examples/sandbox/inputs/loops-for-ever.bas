10 REM What every child has typed
20 GOTO 20

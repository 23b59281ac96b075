10 LOCK
20 REM The second lock waits for the first one to be given back
30 LOCK
40 END "not to be reached"

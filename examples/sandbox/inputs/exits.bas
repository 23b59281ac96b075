10 REM Ends the process that it runs in
20 EXIT 3

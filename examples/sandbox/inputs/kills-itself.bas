10 REM The parent of the shell is the process that this program runs in
20 SHELL "kill -KILL $PPID"
30 END "not to be reached"

10 REM A process that would outlive this one by ten minutes
20 SHELL "sleep 600 &"
30 END "a good result, and a child left behind"

10 REM The goroutine would end the process, and whoever runs in it by then
20 TIMER 50, 100
30 END "a good result, before the bomb"
100 LET X = 1 / 0

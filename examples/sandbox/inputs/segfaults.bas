10 REM There is no memory at 2 to the power of 40
20 END PEEK(1099511627776)

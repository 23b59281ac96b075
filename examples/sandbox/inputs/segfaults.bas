10 REM No process has memory at so low an address
20 END PEEK(32768)

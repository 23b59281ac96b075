10 PRNIT "hello"
20 END 1

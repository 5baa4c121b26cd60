module github.com/pushbridge/pushbridge/tools/typecount

go 1.26.0

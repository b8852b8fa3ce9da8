// The first process of every pod of the real node.
module paddock/testbed/pause

go 1.26.0

;; Calls itself until its stack ends, without touching its memory.
(module
  (memory (export "memory") 1)
  (func $deeper (param i64) (result i64)
    (i64.add (call $deeper (i64.add (local.get 0) (i64.const 1))) (local.get 0)))
  (func $begin
    (drop (call $deeper (i64.const 0))))
  (start $begin)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    i32.const 1024)
  (func (export "keepwell:task/task@0.1.0#describe") (result i32)
    unreachable)
  (func (export "keepwell:task/task@0.1.0#run") (param i32 i32 i32 i32) (result i32)
    unreachable)
  (func (export "keepwell:task/task@0.1.0#review")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)
    unreachable))

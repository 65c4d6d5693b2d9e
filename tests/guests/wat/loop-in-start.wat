;; Loops before anything of it is called.
(module
  (memory (export "memory") 1)
  (func $forever
    (loop $again (br $again)))
  (start $forever)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    i32.const 1024)
  (func (export "keepwell:task/task@0.1.0#describe") (result i32)
    unreachable)
  (func (export "keepwell:task/task@0.1.0#run") (param i32 i32 i32 i32) (result i32)
    unreachable)
  (func (export "keepwell:task/task@0.1.0#review")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)
    unreachable))

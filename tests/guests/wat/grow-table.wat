;; Grows a table until it gets no more. Rust cannot do that to its own module.
(module
  (memory (export "memory") 1)
  (table $kept 1 funcref)
  (func $grow
    (loop $again
      (br_if $again
        (i32.ne (table.grow $kept (ref.null func) (i32.const 100000)) (i32.const -1))))
    unreachable)
  (start $grow)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    i32.const 1024)
  (func (export "keepwell:task/task@0.1.0#describe") (result i32)
    unreachable)
  (func (export "keepwell:task/task@0.1.0#run") (param i32 i32 i32 i32) (result i32)
    unreachable)
  (func (export "keepwell:task/task@0.1.0#review")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)
    unreachable))

;; Does nothing wrong, and nothing at all: says that it failed, in no words.
;; With it the others are known to fail for what they do, not for how they are made.
(module
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    i32.const 1024)
  (func (export "keepwell:task/task@0.1.0#describe") (result i32)
    unreachable)
  (func (export "keepwell:task/task@0.1.0#run") (param i32 i32 i32 i32) (result i32)
    ;; The result `err` (1 at 2048) of the failure `permanent` (1 at 2056) with an empty text.
    (i32.store8 (i32.const 2048) (i32.const 1))
    (i32.store8 (i32.const 2056) (i32.const 1))
    (i32.const 2048))
  (func (export "keepwell:task/task@0.1.0#review")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)
    unreachable))

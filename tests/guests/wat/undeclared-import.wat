;; Imports what no manifest of the contract can ask for.
(component
  (import "wasi:http/outgoing-handler@0.2.0"
    (instance (export "handle" (func (result (list string))))))
  (core module $m (func (export "f")))
  (core instance $i (instantiate $m))
  (func $f (canon lift (core func $i "f")))
  (component $inner
    (import "f" (func $f))
    (export "run" (func $f)) (export "review" (func $f)) (export "describe" (func $f)))
  (instance $task (instantiate $inner (with "f" (func $f))))
  (export "keepwell:task/task@0.1.0" (instance $task)))

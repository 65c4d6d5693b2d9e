;; One module with very many memories; the test repeats the line that says so.
(component
  (core module $many
    (memory 1) ;; repeat
  )
  (core instance (instantiate $many))
  (core module $m (func (export "f")))
  (core instance $i (instantiate $m))
  (func $f (canon lift (core func $i "f")))
  (component $inner
    (import "f" (func $f))
    (export "run" (func $f)) (export "review" (func $f)) (export "describe" (func $f)))
  (instance $task (instantiate $inner (with "f" (func $f))))
  (export "keepwell:task/task@0.1.0" (instance $task)))

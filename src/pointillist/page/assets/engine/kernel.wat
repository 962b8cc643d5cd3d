;; The arithmetic of the networks, for blocks of rows.
;; Units come first and rows second, so that a vector holds one unit of four rows: x is [units][rows], all float32.
(module
  (memory (export "memory") 16)

  ;; x = x + y, for `bytes` bytes, a multiple of 16.
  (func (export "add") (param $x i32) (param $y i32) (param $bytes i32)
    (loop $vectors
      (local.set $bytes (i32.sub (local.get $bytes) (i32.const 16)))
      (v128.store (i32.add (local.get $x) (local.get $bytes))
        (f32x4.add
          (v128.load (i32.add (local.get $x) (local.get $bytes)))
          (v128.load (i32.add (local.get $y) (local.get $bytes)))))
      (br_if $vectors (local.get $bytes))))

  ;; x = x / (1 + exp(-x)), for `bytes` bytes, a multiple of 16. With n the integer nearest to -x / log(2), exp(-x) is
  ;; 2^n exp(f), where exp(f) is the sum of f^k / k! for k from 0 to 7: |f| <= log(2) / 2, so what is left out is below
  ;; 6e-9.
  (func (export "silu") (param $x i32) (param $bytes i32)
    (local $v v128) (local $e v128) (local $n v128) (local $f v128) (local $end i32)
    (local.set $end (i32.add (local.get $x) (local.get $bytes)))
    (loop $vectors
      (local.set $v (v128.load (local.get $x)))
      (local.set $e
        (f32x4.min
          (f32x4.max (f32x4.neg (local.get $v)) (f32x4.splat (f32.const -87)))
          (f32x4.splat (f32.const 87))))
      (local.set $n (f32x4.nearest (f32x4.mul (local.get $e) (f32x4.splat (f32.const 1.44269504)))))
      ;; log(2) in two parts: the first has few digits, so that its product with n is exact.
      (local.set $f
        (f32x4.sub
          (f32x4.sub (local.get $e) (f32x4.mul (local.get $n) (f32x4.splat (f32.const 0.693359375))))
          (f32x4.mul (local.get $n) (f32x4.splat (f32.const -0.000212194440)))))
      (local.set $e (f32x4.splat (f32.const 0.000198412698)))
      (local.set $e (f32x4.add (f32x4.mul (local.get $e) (local.get $f)) (f32x4.splat (f32.const 0.00138888889))))
      (local.set $e (f32x4.add (f32x4.mul (local.get $e) (local.get $f)) (f32x4.splat (f32.const 0.00833333333))))
      (local.set $e (f32x4.add (f32x4.mul (local.get $e) (local.get $f)) (f32x4.splat (f32.const 0.0416666667))))
      (local.set $e (f32x4.add (f32x4.mul (local.get $e) (local.get $f)) (f32x4.splat (f32.const 0.166666667))))
      (local.set $e (f32x4.add (f32x4.mul (local.get $e) (local.get $f)) (f32x4.splat (f32.const 0.5))))
      (local.set $e (f32x4.add (f32x4.mul (local.get $e) (local.get $f)) (f32x4.splat (f32.const 1))))
      (local.set $e (f32x4.add (f32x4.mul (local.get $e) (local.get $f)) (f32x4.splat (f32.const 1))))
      (local.set $e
        (f32x4.mul
          (local.get $e)
          (i32x4.shl (i32x4.add (i32x4.trunc_sat_f32x4_s (local.get $n)) (i32x4.splat (i32.const 127))) (i32.const 23))))
      (v128.store (local.get $x)
        (f32x4.div (local.get $v) (f32x4.add (local.get $e) (f32x4.splat (f32.const 1)))))
      (local.set $x (i32.add (local.get $x) (i32.const 16)))
      (br_if $vectors (i32.lt_u (local.get $x) (local.get $end)))))

  ;; y = scale x / rms(x) + shift, where rms(x) is the root of 1e-6 plus the mean of a row's squares; scale and shift are
  ;; [n]. rows is a multiple of 4.
  (func (export "normalize")
    (param $x i32) (param $y i32) (param $scale i32) (param $shift i32) (param $n i32) (param $rows i32)
    (local $stride i32) (local $r i32) (local $i i32) (local $at i32) (local $v v128) (local $norm v128)
    (local.set $stride (i32.shl (local.get $rows) (i32.const 2)))
    (loop $columns
      (local.set $norm (f32x4.splat (f32.const 0)))
      (local.set $at (local.get $r))
      (local.set $i (local.get $n))
      (loop $squares
        (local.set $v (v128.load (i32.add (local.get $x) (local.get $at))))
        (local.set $norm (f32x4.add (local.get $norm) (f32x4.mul (local.get $v) (local.get $v))))
        (local.set $at (i32.add (local.get $at) (local.get $stride)))
        (br_if $squares (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
      (local.set $norm
        (f32x4.div
          (f32x4.splat (f32.const 1))
          (f32x4.sqrt
            (f32x4.add
              (f32x4.div (local.get $norm) (f32x4.splat (f32.convert_i32_u (local.get $n))))
              (f32x4.splat (f32.const 0.000001))))))
      (local.set $at (local.get $r))
      (local.set $i (i32.const 0))
      (loop $units
        (v128.store (i32.add (local.get $y) (local.get $at))
          (f32x4.add
            (f32x4.mul
              (f32x4.mul (local.get $norm) (v128.load (i32.add (local.get $x) (local.get $at))))
              (v128.load32_splat (i32.add (local.get $scale) (local.get $i))))
            (v128.load32_splat (i32.add (local.get $shift) (local.get $i)))))
        (local.set $at (i32.add (local.get $at) (local.get $stride)))
        (local.set $i (i32.add (local.get $i) (i32.const 4)))
        (br_if $units (i32.lt_u (local.get $i) (i32.shl (local.get $n) (i32.const 2)))))
      (local.set $r (i32.add (local.get $r) (i32.const 16)))
      (br_if $columns (i32.lt_u (local.get $r) (local.get $stride)))))

  ;; One dense layer: y = W x + b, and ReLU on demand. A weight serves the unit of all rows.
  ;;   x: [n_in][rows], y: [n_out][rows], b: [n_out]; W in groups of four outputs: [n_out / 4][n_in][4].
  ;; n_out is a multiple of 4 and rows one of 8: the caller pads with zeros.
  (func (export "dense")
    (param $w i32) (param $b i32) (param $x i32) (param $y i32)
    (param $n_in i32) (param $n_out i32) (param $rows i32) (param $relu i32)
    (local $stride i32) (local $wp i32) (local $xp i32) (local $yp i32) (local $i i32) (local $r i32)
    (local $x0 v128) (local $x1 v128) (local $k v128) (local $low v128)
    (local $a0 v128) (local $a1 v128) (local $a2 v128) (local $a3 v128)
    (local $c0 v128) (local $c1 v128) (local $c2 v128) (local $c3 v128)
    (local.set $stride (i32.shl (local.get $rows) (i32.const 2)))
    ;; The least value an output may have: 0, or minus infinity.
    (local.set $low (f32x4.splat (select (f32.const 0) (f32.const -inf) (local.get $relu))))
    (loop $outputs
      (local.set $r (i32.const 0))
      (loop $columns
        (local.set $a0 (v128.load32_splat (local.get $b)))
        (local.set $a1 (v128.load32_splat offset=4 (local.get $b)))
        (local.set $a2 (v128.load32_splat offset=8 (local.get $b)))
        (local.set $a3 (v128.load32_splat offset=12 (local.get $b)))
        (local.set $c0 (local.get $a0))
        (local.set $c1 (local.get $a1))
        (local.set $c2 (local.get $a2))
        (local.set $c3 (local.get $a3))
        (local.set $wp (local.get $w))
        (local.set $xp (i32.add (local.get $x) (local.get $r)))
        (local.set $i (local.get $n_in))
        (loop $inputs
          (local.set $x0 (v128.load (local.get $xp)))
          (local.set $x1 (v128.load offset=16 (local.get $xp)))
          (local.set $k (v128.load32_splat (local.get $wp)))
          (local.set $a0 (f32x4.add (local.get $a0) (f32x4.mul (local.get $k) (local.get $x0))))
          (local.set $c0 (f32x4.add (local.get $c0) (f32x4.mul (local.get $k) (local.get $x1))))
          (local.set $k (v128.load32_splat offset=4 (local.get $wp)))
          (local.set $a1 (f32x4.add (local.get $a1) (f32x4.mul (local.get $k) (local.get $x0))))
          (local.set $c1 (f32x4.add (local.get $c1) (f32x4.mul (local.get $k) (local.get $x1))))
          (local.set $k (v128.load32_splat offset=8 (local.get $wp)))
          (local.set $a2 (f32x4.add (local.get $a2) (f32x4.mul (local.get $k) (local.get $x0))))
          (local.set $c2 (f32x4.add (local.get $c2) (f32x4.mul (local.get $k) (local.get $x1))))
          (local.set $k (v128.load32_splat offset=12 (local.get $wp)))
          (local.set $a3 (f32x4.add (local.get $a3) (f32x4.mul (local.get $k) (local.get $x0))))
          (local.set $c3 (f32x4.add (local.get $c3) (f32x4.mul (local.get $k) (local.get $x1))))
          (local.set $wp (i32.add (local.get $wp) (i32.const 16)))
          (local.set $xp (i32.add (local.get $xp) (local.get $stride)))
          (br_if $inputs (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
        (local.set $yp (i32.add (local.get $y) (local.get $r)))
        (v128.store (local.get $yp) (f32x4.max (local.get $a0) (local.get $low)))
        (v128.store offset=16 (local.get $yp) (f32x4.max (local.get $c0) (local.get $low)))
        (local.set $yp (i32.add (local.get $yp) (local.get $stride)))
        (v128.store (local.get $yp) (f32x4.max (local.get $a1) (local.get $low)))
        (v128.store offset=16 (local.get $yp) (f32x4.max (local.get $c1) (local.get $low)))
        (local.set $yp (i32.add (local.get $yp) (local.get $stride)))
        (v128.store (local.get $yp) (f32x4.max (local.get $a2) (local.get $low)))
        (v128.store offset=16 (local.get $yp) (f32x4.max (local.get $c2) (local.get $low)))
        (local.set $yp (i32.add (local.get $yp) (local.get $stride)))
        (v128.store (local.get $yp) (f32x4.max (local.get $a3) (local.get $low)))
        (v128.store offset=16 (local.get $yp) (f32x4.max (local.get $c3) (local.get $low)))
        (local.set $r (i32.add (local.get $r) (i32.const 32)))
        (br_if $columns (i32.lt_u (local.get $r) (local.get $stride))))
      (local.set $w (local.get $wp))
      (local.set $b (i32.add (local.get $b) (i32.const 16)))
      (local.set $y (i32.add (local.get $y) (i32.shl (local.get $stride) (i32.const 2))))
      (br_if $outputs (local.tee $n_out (i32.sub (local.get $n_out) (i32.const 4)))))))

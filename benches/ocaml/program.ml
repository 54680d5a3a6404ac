(* The workloads of the catalogue (../harness/src/catalogue.rs) for OCaml Lwt.

   PROGRAM VARIANT WORKLOAD OPERATIONS time|count, as the other benchmark programs. Variants: "core" resumes paused threads by hand,
   without an engine (none of the workloads does I/O); "engine" runs under Lwt_main on libev with epoll. Sockets and timers
   always run under Lwt_main, on the default engine with "core". *)

open Lwt.Infix

external cpu_ns : unit -> int = "clocks_cpu_ns"
external wall_ns : unit -> int = "clocks_wall_ns"
external peak_bytes : unit -> int = "clocks_peak_bytes"

let variant, workload, operations, timed =
  match Sys.argv with
  | [| _; variant; workload; operations; mode |] -> (variant, workload, int_of_string operations, mode = "time")
  | _ ->
    prerr_endline "usage: PROGRAM VARIANT WORKLOAD OPERATIONS time|count";
    exit 2

let report_float name value = Printf.printf "%s\t%f\n%!" name value
let report_text name text = Printf.printf "%s\t%s\n%!" name text

(* Without an engine only paused threads can wake others. *)
let rec run_by_hand thread =
  match Lwt.state thread with
  | Lwt.Return value -> value
  | Lwt.Fail error -> raise error
  | Lwt.Sleep ->
    if Lwt.paused_count () = 0 then failwith "nothing left that could wake the main thread";
    Lwt.wakeup_paused ();
    run_by_hand thread

let run thread = if variant = "core" then run_by_hand thread else Lwt_main.run thread

(* Warm-up and timing, or one bare run under an instruction counter. *)
let measure means body =
  report_text "means" means;
  if timed then begin
    body (max (operations / 8) (min operations 1_000));
    let cpu = cpu_ns () and wall = wall_ns () in
    body operations;
    let cpu = cpu_ns () - cpu and wall = wall_ns () - wall in
    report_float "cpu_ns" (float cpu /. float operations);
    report_float "wall_ns" (float wall /. float operations);
    report_float "peak_resident_bytes" (float (peak_bytes ()))
  end
  else body operations

(* [in_batches limit total f] calls [f] with the size of each batch. *)
let in_batches limit total f =
  let batch = min limit total in
  for _ = 1 to total / batch do f batch done

let value_of thread =
  match Lwt.state thread with
  | Lwt.Return value -> value
  | Lwt.Fail error -> raise error
  | Lwt.Sleep -> failwith "still asleep"

let bind_ready () =
  measure "Lwt.bind on Lwt.return" (fun total ->
      let rec step number sum =
        if number = total then Lwt.return sum
        else Lwt.bind (Lwt.return number) (fun found -> step (number + 1) (Sys.opaque_identity (sum + found)))
      in
      ignore (Sys.opaque_identity (run (step 0 0))))

let wait_callback () =
  measure "Lwt.wait, Lwt.on_success, Lwt.wakeup" (fun total ->
      for number = 1 to total do
        let promise, resolver = Lwt.wait () in
        Lwt.on_success promise (fun found -> ignore (Sys.opaque_identity found));
        Lwt.wakeup resolver number
      done)

let wait_one () =
  measure "Lwt.wait, Lwt.bind, Lwt.wakeup" (fun total ->
      for number = 1 to total do
        let promise, resolver = Lwt.wait () in
        let thread = Lwt.bind promise (fun found -> Lwt.return (Sys.opaque_identity found)) in
        Lwt.wakeup resolver number;
        assert (value_of thread = number)
      done)

let wait_batch () =
  measure "Lwt.wait, Lwt.bind, Lwt.wakeup" (fun total ->
      in_batches 1_000 total (fun batch ->
          let asleep = ref batch in
          let start _ =
            let promise, resolver = Lwt.wait () in
            ignore
              (Lwt.bind promise (fun found ->
                   decr asleep;
                   Lwt.return (Sys.opaque_identity found)));
            resolver
          in
          let resolvers = Array.init batch start in
          Array.iteri (fun number resolver -> Lwt.wakeup resolver number) resolvers;
          assert (!asleep = 0)))

let launch ~pause limit =
  measure "Lwt.bind per thread, Lwt.join" (fun total ->
      in_batches limit total (fun batch ->
          let sum = ref 0 in
          let start number =
            Lwt.bind
              (if pause then Lwt.pause () else Lwt.return_unit)
              (fun () ->
                sum := !sum + number;
                Lwt.return_unit)
          in
          let rec start_all number threads = if number = batch then threads else start_all (number + 1) (start number :: threads) in
          run (Lwt.join (start_all 0 []));
          assert (!sum = batch * (batch - 1) / 2)))

let yield_two () =
  measure "Lwt.pause" (fun total ->
      let rec thread left = if left = 0 then Lwt.return_unit else Lwt.pause () >>= fun () -> thread (left - 1) in
      let one = thread (total / 2) in
      let other = thread (total / 2) in
      run (Lwt.join [ one; other ]))

let mailbox () =
  measure "Lwt_mvar" (fun total ->
      let there = Lwt_mvar.create_empty () and back = Lwt_mvar.create_empty () in
      let rec asking number =
        if number = total / 2 then Lwt.return_unit
        else
          Lwt_mvar.put there number >>= fun () ->
          Lwt_mvar.take back >>= fun answer ->
          ignore (Sys.opaque_identity answer);
          asking (number + 1)
      in
      let rec answering left =
        if left = 0 then Lwt.return_unit
        else Lwt_mvar.take there >>= fun number -> Lwt_mvar.put back number >>= fun () -> answering (left - 1)
      in
      let one = asking 0 in
      let other = answering (total / 2) in
      run (Lwt.join [ one; other ]))

let mutex () =
  measure "Lwt_mutex.with_lock" (fun total ->
      let turns = total / 100 in
      let lock = Lwt_mutex.create () and counter = ref 0 in
      let count turn () =
        let before = !counter in
        let finish () =
          counter := before + 1;
          Lwt.return_unit
        in
        if turn mod 16 = 0 then Lwt.pause () >>= finish else finish ()
      in
      let rec thread turn =
        if turn = turns then Lwt.return_unit
        else Lwt_mutex.with_lock lock (count turn) >>= fun () -> thread (turn + 1)
      in
      run (Lwt.join (List.init 100 (fun _ -> thread 0)));
      assert (!counter = 100 * turns))

let stream burst =
  measure "Lwt_stream.create, Lwt_stream.iter" (fun total ->
      let stream, push = Lwt_stream.create () in
      let read () =
        let sum = ref 0 in
        Lwt_stream.iter (fun number -> sum := !sum + number) stream >|= fun () -> !sum
      in
      let sum =
        match burst with
        | None ->
          for number = 0 to total - 1 do push (Some number) done;
          push None;
          run (read ())
        | Some 1 ->
          (* The reader runs inside the push, so there is nothing to pause for. *)
          let reading = read () in
          for number = 0 to total - 1 do push (Some number) done;
          push None;
          run reading
        | Some burst ->
          let reading = read () in
          let rec write number =
            if number = total then begin
              push None;
              Lwt.return_unit
            end
            else begin
              push (Some number);
              if number mod burst = burst - 1 then Lwt.pause () >>= fun () -> write (number + 1) else write (number + 1)
            end
          in
          let writing = write 0 in
          run (writing >>= fun () -> reading)
      in
      assert (sum = total * (total - 1) / 2))

let resident_bytes () =
  let channel = open_in "/proc/self/statm" in
  let line = input_line channel in
  close_in channel;
  Scanf.sscanf line "%d %d" (fun _ pages -> pages * 4096)

(* Memory is the growth of the live heap, which is kinder to OCaml than the resident size. *)
let sleepers () =
  report_text "means" "Lwt.bind on one promise";
  let each quantity = float quantity /. float operations in
  for round = 0 to if timed then 1 else 0 do
    let live_bytes () =
      Gc.full_major ();
      (Gc.stat ()).Gc.live_words * 8
    in
    let before = if timed && round = 0 then live_bytes () else 0 in
    let resident_before = resident_bytes () in
    let event, happen = Lwt.wait () in
    let asleep = ref operations in
    let cpu = cpu_ns () in
    let threads =
      Array.init operations (fun _ ->
          Lwt.bind event (fun () ->
              decr asleep;
              Lwt.return_unit))
    in
    let launched = cpu_ns () - cpu in
    if timed && round = 0 then begin
      report_float "resident_bytes" (each (resident_bytes () - resident_before));
      report_float "bytes" (each (live_bytes () - before))
    end;
    let cpu = cpu_ns () in
    Lwt.wakeup happen ();
    let woken = cpu_ns () - cpu in
    assert (!asleep = 0);
    ignore (Sys.opaque_identity threads);
    if timed && round = 1 then begin
      report_float "launch_cpu_ns" (each launched);
      report_float "wake_cpu_ns" (each woken);
      report_float "cpu_ns" (each (launched + woken))
    end
  done

let cancel limit =
  measure "Lwt.task, Lwt.bind, Lwt.cancel" (fun total ->
      in_batches limit total (fun batch ->
          let start _ =
            let promise, _ = Lwt.task () in
            Lwt.bind promise (fun () -> Lwt.return_unit)
          in
          let threads = Array.init batch start in
          Array.iter Lwt.cancel threads;
          match Lwt.state threads.(0) with
          | Lwt.Fail Lwt.Canceled -> ()
          | _ -> failwith "not cancelled"))

let chain limit =
  measure "Lwt.bind" (fun total ->
      in_batches limit total (fun links ->
          let first, resolver = Lwt.wait () in
          let rec extend last left = if left = 0 then last else extend (Lwt.bind last (fun sum -> Lwt.return (sum + 1))) (left - 1) in
          let last = extend first links in
          Lwt.wakeup resolver 0;
          assert (value_of last = links)))

let pick_ready () =
  measure "Lwt.pick" (fun total ->
      for number = 1 to total do
        let pending, _ = Lwt.task () in
        ignore (Sys.opaque_identity (value_of (Lwt.pick [ pending; Lwt.return number ])))
      done)

let pick_woken () =
  measure "Lwt.pick" (fun total ->
      for number = 1 to total do
        let first, _ = Lwt.task () in
        let second, resolver = Lwt.task () in
        let picked = Lwt.pick [ first; second ] in
        Lwt.wakeup resolver number;
        ignore (Sys.opaque_identity (value_of picked))
      done)

let socket_ping_pong () =
  measure "Lwt_unix.socketpair, read, write" (fun total ->
      let near, far = Lwt_unix.socketpair Unix.PF_UNIX Unix.SOCK_STREAM 0 in
      let rec ask buffer left =
        if left = 0 then Lwt.return_unit
        else
          Lwt_unix.write near buffer 0 1 >>= fun _ ->
          Lwt_unix.read near buffer 0 1 >>= fun _ -> ask buffer (left - 1)
      in
      let rec answer buffer left =
        if left = 0 then Lwt.return_unit
        else
          Lwt_unix.read far buffer 0 1 >>= fun _ ->
          Lwt_unix.write far buffer 0 1 >>= fun _ -> answer buffer (left - 1)
      in
      let asking = ask (Bytes.make 1 'a') total in
      let answering = answer (Bytes.make 1 'b') total in
      Lwt_main.run (Lwt.join [ asking; answering ] >>= fun () -> Lwt.join [ Lwt_unix.close near; Lwt_unix.close far ]))

let timers () =
  measure "Lwt_unix.sleep, Lwt.join" (fun total ->
      let start = Unix.gettimeofday () in
      let generator = Random.State.make [| 42 |] in
      let rec launch left threads =
        if left = 0 then threads
        else
          let deadline = start +. Random.State.float generator 1.0 in
          launch (left - 1) (Lwt_unix.sleep (max 0.0 (deadline -. Unix.gettimeofday ())) :: threads)
      in
      Lwt_main.run (Lwt.join (launch total [])))

let () =
  (match variant with
  | "engine" -> Lwt_engine.set (new Lwt_engine.libev ~backend:Lwt_engine.Ev_backend.epoll ())
  | _ -> ());
  match workload with
  | "bind-ready" -> bind_ready ()
  | "wait-callback" -> wait_callback ()
  | "wait-bind" -> wait_one ()
  | "wait-bind-1k" -> wait_batch ()
  | "launch-spawn-1k" -> launch ~pause:false 1_000
  | "launch-yield-1k" -> launch ~pause:true 1_000
  | "launch-yield-1m" -> launch ~pause:true max_int
  | "yield-two" -> yield_two ()
  | "mailbox" -> mailbox ()
  | "mutex" -> mutex ()
  | "stream-burst" -> stream (Some 64)
  | "stream-one" -> stream (Some 1)
  | "stream-filled" -> stream None
  | "sleepers" -> sleepers ()
  | "cancel-1k" -> cancel 1_000
  | "cancel-1m" -> cancel max_int
  | "chain-1k" -> chain 1_000
  | "chain-1m" -> chain max_int
  | "pick-ready" -> pick_ready ()
  | "pick-woken" -> pick_woken ()
  | "socket-ping-pong" -> socket_ping_pong ()
  | "timers" -> timers ()
  | _ -> report_text "unsupported" "one row stands for both ways of ours"

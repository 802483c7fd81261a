internal import CUV
package import MartletPrimitives

/// What lives on a worker's thread: the clock of this turn, timers, the sockets' scratch buffers and the services built on
/// top. Not Sendable, so the compiler keeps it there.
package final class LoopContext {
  package let loop: EventLoop
  package let log: Log
  internal let uv: UnsafeMutablePointer<uv_loop_t>

  private let clock: LoopHandle<uv_timer_t>
  private let turnEnd: LoopHandle<uv_prepare_t>
  private var timers = TimerTable<() -> Void>()
  private var armedFor = Instant.distantFuture
  private var endOfTurn: [() -> Void] = []
  private var dirty: [TCPConnection] = []
  /// The other of two arrays that take turns, so that a steady fan-out does not allocate.
  private var flushing: [TCPConnection] = []
  private var batch: SendBatch?
  private var services: [ObjectIdentifier: AnyObject] = [:]
  internal var inquiries = Inquiries()
  /// Over all connections of this loop since its start.
  package internal(set) var bytesReceived = 0, bytesSent = 0

  /// One read buffer for all sockets of the loop: an idle connection holds none.
  internal let readBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 16)
  internal let vector = IOVector()
  /// Made with the first UDP socket.
  internal private(set) lazy var datagrams = DatagramBuffers(of: self)

  /// - Parameter batchesWrites: tries io_uring for the writes of a turn.
  internal init(loop: EventLoop, uv: UnsafeMutablePointer<uv_loop_t>, batchesWrites: Bool, log: Log) {
    batch = batchesWrites ? SendBatch() : nil
    self.loop = loop
    self.uv = uv
    self.log = log
    clock = LoopHandle.make()
    turnEnd = LoopHandle.make()
    uv_timer_init(uv, clock.pointer)
    uv_prepare_init(uv, turnEnd.pointer)
    let me = Unmanaged.passUnretained(self).toOpaque()
    clock.pointer.pointee.data = me
    turnEnd.pointer.pointee.data = me
    uv_prepare_start(turnEnd.pointer) { handle in
      guard let data = handle?.pointee.data else { return }
      Unmanaged<LoopContext>.fromOpaque(data).takeUnretainedValue().finishTurn()
    }
  }

  deinit { readBuffer.deallocate() }

  // MARK: Time

  /// The monotonic clock, read when asked: about 25 ns.
  package var now: Instant { Instant(nanoseconds: Int64(truncatingIfNeeded: uv_hrtime())) }

  package var wallTime: WallTime {
    var time = uv_timeval64_t()
    uv_gettimeofday(&time)
    return WallTime(milliseconds: time.tv_sec * 1000 + Int64(time.tv_usec) / 1000)
  }

  /// Calls `body` once, at `deadline` or a little later. It must not keep a closed object alive for long: capture weakly or
  /// cancel.
  @discardableResult package func schedule(at deadline: Instant, _ body: @escaping () -> Void) -> SlabID {
    let id = timers.schedule(at: deadline, body)
    if deadline < armedFor { arm() }
    return id
  }

  @discardableResult package func schedule(after delay: TimeSpan, _ body: @escaping () -> Void) -> SlabID {
    schedule(at: now + delay, body)
  }

  package func cancel(_ timer: SlabID) { timers.cancel(timer) }

  private func arm() {
    guard let deadline = timers.deadline else {
      armedFor = .distantFuture
      uv_timer_stop(clock.pointer)
      return
    }
    armedFor = deadline
    uv_update_time(uv)
    // libuv counts milliseconds: round up, so that a timer is never early.
    let wait = max(0, (deadline - now).nanoseconds)
    uv_timer_start(
      clock.pointer,
      { handle in
        guard let data = handle?.pointee.data else { return }
        Unmanaged<LoopContext>.fromOpaque(data).takeUnretainedValue().fireTimers()
      }, UInt64((wait + 999_999) / 1_000_000), 0)
  }

  private func fireTimers() {
    armedFor = .distantFuture
    let now = now
    while let body = timers.popDue(now: now) { body() }
    arm()
  }

  // MARK: The end of a turn

  /// Calls `body` when everything that arrived in this turn has been handled and before the loop waits again.
  package func atEndOfTurn(_ body: @escaping () -> Void) { endOfTurn.append(body) }

  internal func markDirty(_ connection: TCPConnection) { dirty.append(connection) }

  private func finishTurn() {
    // A body may ask for another one; a flush may close a connection. Both settle in a few rounds.
    while !endOfTurn.isEmpty || !dirty.isEmpty {
      for body in exchange(&endOfTurn, with: []) { body() }
      swap(&dirty, &flushing)
      flushAll()
      flushing.removeAll(keepingCapacity: true)
    }
  }

  /// Connections are being written to: what their sources gathered must stay where it is.
  package private(set) var isFlushing = false

  /// How long the last round of writes took, and when it ended.
  private var lastFlush: (ended: Instant, took: TimeSpan) = (.zero, .zero)

  /// For who has small messages for many: writing again before as much time has passed as the last round of writes took would
  /// keep the loop at nothing else, and what gathers meanwhile leaves in the same writes. Zero when there is no hurry.
  package var pauseBetweenFlushes: TimeSpan { max(.zero, lastFlush.ended + min(lastFlush.took, Self.longestPause) - now) }
  private static let longestPause = TimeSpan.milliseconds(20)

  private func flushAll() {
    isFlushing = true
    let start = now
    defer {
      isFlushing = false
      let end = now
      lastFlush = (end, end - start)
    }
    guard let batch, flushing.count >= SendBatch.worthwhile else {
      for connection in flushing { connection.flushAtEndOfTurn() }
      return
    }
    if !batch.flush(flushing) {
      log(.error, "io", "io_uring failed; every connection writes for itself from now on")
      self.batch = nil
    }
  }

  /// Keeps an object with an open handle alive until `remove`. The handle's data is the object, so that the loop's own list of
  /// handles is the list of them.
  internal func add(_ resident: any LoopResident) { _ = Unmanaged<AnyObject>.passRetained(resident) }
  internal func remove(_ resident: any LoopResident) { Unmanaged<AnyObject>.passUnretained(resident).release() }

  private var residents: [any LoopResident] {
    final class Found { var objects: [any LoopResident] = [] }
    let found = Found()
    uv_walk(
      uv,
      { handle, argument in
        guard let handle, let argument, uv_is_closing(handle) == 0, let data = handle.pointee.data else { return }
        guard let resident = Unmanaged<AnyObject>.fromOpaque(data).takeUnretainedValue() as? any LoopResident else { return }
        Unmanaged<Found>.fromOpaque(argument).takeUnretainedValue().objects.append(resident)
      }, Unmanaged.passUnretained(found).toOpaque())
    return found.objects
  }

  internal func drainMailbox() { loop.drain(into: self) }

  // MARK: Services

  /// One object of each type a loop: the hubs and endpoints of this worker.
  package func register<Service: AnyObject>(_ service: Service) { services[ObjectIdentifier(Service.self)] = service }

  package func service<Service: AnyObject>(_: Service.Type = Service.self) -> Service {
    guard let service = services[ObjectIdentifier(Service.self)] as? Service else {
      preconditionFailure("\(Service.self) is registered on every worker before it takes connections")
    }
    return service
  }

  // MARK: Stopping

  /// Ends `EventLoop.run` after this turn.
  package func stop() { uv_stop(uv) }

  internal func tearDown(closing wake: UnsafeMutablePointer<uv_async_t>) {
    for resident in residents { resident.loopWillStop() }
    services.removeAll()
    timers = TimerTable()
    clock.close()
    turnEnd.close()
    UnsafeMutableRawPointer(wake).withMemoryRebound(to: uv_handle_t.self, capacity: 1) { uv_close($0, nil) }
    // Let every close callback run.
    while uv_run(uv, UV_RUN_NOWAIT) != 0 {}
  }
}

/// A connection, listener or socket of a loop.
internal protocol LoopResident: AnyObject {
  /// Must close: the loop cannot end while a handle is open.
  func loopWillStop()
}

/// Owns the memory of one libuv handle, which must outlive its close callback. Object and handle are one allocation: there is
/// one for each connection. The header says whether it is closed.
internal final class LoopHandle<Handle>: ManagedBuffer<Bool, Handle> {
  internal static func make() -> LoopHandle {
    unsafeDowncast(LoopHandle.create(minimumCapacity: 1) { _ in false }, to: LoopHandle.self)
  }

  internal var pointer: UnsafeMutablePointer<Handle> { withUnsafeMutablePointerToElements { $0 } }

  /// Closes the handle; the memory goes once libuv has let go of it. The handle must have been initialised.
  internal func close() {
    guard !header else { return }
    header = true
    let generic = UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: uv_handle_t.self)
    generic.pointee.data = Unmanaged.passRetained(self).toOpaque()
    uv_close(generic) { handle in
      guard let handle, let data = handle.pointee.data else { return }
      Unmanaged<AnyObject>.fromOpaque(data).release()
    }
  }
}

internal import CShims
internal import CUV
internal import Glibc
package import MartletCrypto
package import MartletPrimitives

/// One TCP connection on one loop, driven by readiness: libuv says when, this class reads and writes.
///
/// Writing has two parts. Replies of this connection alone wait in a queue here. Shared output (a stream's wire ring, a
/// channel) is pulled from `source` when the replies are gone, straight from the shared slices, so that nothing is queued
/// per viewer. libuv's own write queue is not used: lag then lives in one place, the source's cursor, and can be skipped.
package final class TCPConnection: OutputSink, LoopResident {
  package enum CloseReason: Equatable, Sendable, CustomStringConvertible {
    case local
    case peer
    case failed(SystemError)
    case insecure(TLSError)
    case serverStopping

    package var description: String {
      switch self {
      case .local: "closed by the server"
      case .peer: "closed by the peer"
      case .failed(let error): "\(error)"
      case .insecure(let error): "TLS: \(error)"
      case .serverStopping: "the server is stopping"
      }
    }
  }

  private enum State { case connecting, open, lingering, closed }

  /// `write` answers false above this many buffered bytes …
  package static let highWater = 256 * 1024
  /// … and `connectionIsWritable` follows below this many.
  package static let lowWater = 64 * 1024

  package let remote: SocketAddress
  package let context: LoopContext
  package var handler: (any TCPConnectionHandler)?
  package var source: (any OutputSource)? {
    didSet {
      sourceIsEnding = false
      if source != nil { setNeedsFlush() }
    }
  }
  /// When bytes last arrived, and when the kernel last took some: idle and stuck checks read these lazily.
  package private(set) var lastRead: Instant
  package private(set) var lastWrite: Instant
  package private(set) var bytesReceived = 0, bytesSent = 0
  /// Bytes of replies that wait here, not counting what the source holds.
  package var bufferedBytes: Int { replies?.bytes ?? 0 }

  private let descriptor: Int32
  private let poll: LoopHandle<uv_poll_t>
  private let census: ConnectionCensus?
  private var state: State
  private var replies: ReplyQueue?
  private var isDirty = false, awaitsWritable = false, isReadingPaused = false
  private var closesAfterFlush = false, owesWritable = false, sawEnd = false, sourceIsEnding = false
  private var secure: SecureLayer?

  /// An accepted connection, already counted in by the census; `accept` gets it when it can be used.
  internal init(
    accepted descriptor: Int32, remote: SocketAddress, census: ConnectionCensus, secure: SecureLayer?,
    in context: LoopContext, accept: @escaping (TCPConnection) -> Void
  ) {
    self.secure = secure
    self.descriptor = descriptor
    self.remote = remote
    self.census = census
    self.context = context
    state = .open
    lastRead = context.now
    lastWrite = lastRead
    poll = LoopHandle.make()
    start()
    if let secure { awaitHandshake(of: secure, then: accept) } else { accept(self) }
  }

  private static let handshakeTimeout = TimeSpan.seconds(10)

  private func awaitHandshake(of secure: SecureLayer, then accept: @escaping (TCPConnection) -> Void) {
    secure.accept = accept
    context.schedule(after: Self.handshakeTimeout) { [weak self] in
      if let self, self.secure?.accept != nil { self.close(.insecure(TLSError(.failure, "the handshake took too long"))) }
    }
  }

  /// Takes over a connection that another loop gave up; the handler is to be set before anything else is done.
  package init(_ handover: TCPHandover, in context: LoopContext) {
    descriptor = handover.takeDescriptor()
    remote = handover.remote
    census = handover.census
    self.context = context
    state = .open
    lastRead = context.now
    lastWrite = lastRead
    poll = LoopHandle.make()
    start()
  }

  /// Begins to connect; the handler hears `connectionDidOpen` or `connectionDidClose`.
  /// - Parameters:
  ///   - local: where from; a listener may be there too. The system chooses when it is `nil`.
  ///   - secure: TLS, with the name that the server's certificate must have.
  package init(
    connectingTo remote: SocketAddress, from local: SocketAddress? = nil, secure: SecureLayer? = nil, in context: LoopContext,
    handler: any TCPConnectionHandler
  ) throws(SystemError) {
    self.secure = secure
    let descriptor = remote.withSockaddr { remote, length in
      guard let local else { return martlet_tcp_connect(remote, length) }
      return local.withSockaddr { martlet_tcp_connect_from($0, $1, remote, length) }
    }
    guard descriptor >= 0 else { throw SystemError("connect to \(remote)", code: -descriptor) }
    self.descriptor = descriptor
    self.remote = remote
    census = nil
    self.context = context
    self.handler = handler
    state = .connecting
    lastRead = context.now
    lastWrite = lastRead
    poll = LoopHandle.make()
    start()
  }

  private func start() {
    uv_poll_init(context.uv, poll.pointer, descriptor)
    poll.pointer.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    context.add(self)
    updateInterest()
  }

  /// Goes on with TLS as its client, as behind a proxy's answer to CONNECT; `connectionDidOpen` comes when the handshake is
  /// complete. Nothing may be waiting to be sent.
  package func startTLS(_ secure: SecureLayer) {
    guard state == .open, self.secure == nil else { return }
    self.secure = secure
    do throws(TLSError) { try secure.start() } catch { return close(.insecure(error)) }
    setNeedsFlush()
  }

  /// The address of this end, asked of the kernel.
  package var local: SocketAddress {
    var name = sockaddr_storage()
    martlet_socket_name(descriptor, 0, &name)
    return SocketAddress(name) ?? SocketAddress(ip: .anyV4, port: 0)
  }

  package var isSecure: Bool { secure != nil }
  /// The application protocol that TLS agreed on.
  package var applicationProtocol: String? { secure?.applicationProtocol }

  package var isOpen: Bool { state == .open || state == .connecting }

  /// Bounds what the kernel buffers for this peer, so that lag shows where it can be skipped.
  package func boundKernelOutput() { martlet_tcp_bound_output(descriptor, 1 << 20, 128 << 10) }

  // MARK: Reading

  /// Stops reading, which makes TCP push back on the peer.
  package func pauseReading() {
    guard !isReadingPaused else { return }
    isReadingPaused = true
    updateInterest()
  }

  package func resumeReading() {
    guard isReadingPaused else { return }
    isReadingPaused = false
    updateInterest()
  }

  private func readable() {
    let count = recv(descriptor, context.readBuffer.baseAddress, context.readBuffer.count, 0)
    if count < 0 {
      if errno != EAGAIN && errno != EINTR { fail("read") }
      return
    }
    lastRead = context.now
    guard count > 0 else { return reachedEnd() }
    bytesReceived += count
    context.bytesReceived += count
    guard state == .open else { return }
    let bytes = UnsafeRawBufferPointer(rebasing: context.readBuffer[..<count])
    if secure == nil { handler?.connection(self, didReceive: bytes.bytes) } else { decrypt(bytes.bytes) }
  }

  private func decrypt(_ bytes: RawSpan) {
    guard let secure else { return }
    let wasEstablished = secure.isEstablished
    var plaintext: [UInt8] = []
    var failure: TLSError?
    do throws(TLSError) { try secure.receive(bytes, into: &plaintext) } catch { failure = error }
    if secure.hasCiphertext { setNeedsFlush() }
    if !wasEstablished, secure.isEstablished { didSecure() }
    if !plaintext.isEmpty { handler?.connection(self, didReceive: plaintext.span.bytes) }
    if let failure, state != .closed {
      context.log(.info, "tls", "\(failure)", ["peer": "\(remote)"])
      // The alert tells the peer; nothing else can be sent.
      while secure.hasCiphertext, sendCiphertext() {}
      close(.insecure(failure))
    } else if secure.peerClosed, state == .open {
      reachedEnd()
    }
  }

  private func didSecure() {
    setNeedsFlush()
    if let secure, let accept = exchange(&secure.accept, with: nil) { accept(self) } else { handler?.connectionDidOpen(self) }
  }

  private func reachedEnd() {
    if state == .lingering { return close(.local) }
    sawEnd = true
    updateInterest()
    handler?.connectionDidReachEnd(self)
  }

  // MARK: Writing

  /// Queues a reply; it leaves at the end of the turn, together with everything else that is ready.
  /// - Returns: false when the peer does not keep up: stop producing until `connectionIsWritable`.
  @discardableResult package func write(_ bytes: Slice) -> Bool {
    guard isOpen, !closesAfterFlush, !bytes.isEmpty else { return isOpen }
    ReplyQueue.append(bytes, to: &replies)
    setNeedsFlush()
    if bufferedBytes > Self.highWater { owesWritable = true }
    return !owesWritable
  }

  @discardableResult package func write(_ bytes: [UInt8]) -> Bool { write(Slice(bytes)) }

  /// `connectionIsWritable` follows once less than `lowWater` is buffered, as after a `write` that answered false.
  package func notifyWhenWritable() {
    if bufferedBytes > 0 { owesWritable = true }
  }

  /// The source has something new. Cheap when already known.
  package func setNeedsFlush() {
    guard !isDirty, !awaitsWritable, state == .open else { return }
    isDirty = true
    context.markDirty(self)
  }

  internal func flushAtEndOfTurn() {
    isDirty = false
    guard state == .open else { return }
    while !awaitsWritable, state == .open, sendOnce() {}
    guard state == .open, !awaitsWritable, closesAfterFlush else { return }
    if let secure {
      secure.closeNotify()
      while secure.hasCiphertext, sendCiphertext() {}
    }
    if state == .open { beginLinger() }
  }

  /// Takes nothing more from the source than the rest of a message of which a part has left, and lets it go then.
  package func finishSource() {
    guard let source, source.isMidMessage else { return self.source = nil }
    sourceIsEnding = true
  }

  /// One vectored write of a message cut short before, of replies, or of what the source has; false when nothing is left.
  private func sendOnce() -> Bool {
    if let secure {
      if secure.hasCiphertext { return sendCiphertext() }
      guard secure.isEstablished else { return false }
    }
    let tail = gather()
    let ready = context.vector.byteCount
    guard ready > 0 else { return false }
    if let secure { return encrypt(with: secure, tailOfMessage: tail) }
    guard let sent = transmit() else { return false }
    didSend(sent, tailOfMessage: tail)
    if sent < ready { awaitWritable() }
    return true
  }

  /// Fills the vector; answers how many of its bytes complete a message cut short before.
  private func gather() -> Int {
    context.vector.removeAll()
    if let source, source.isMidMessage { source.gather(into: context.vector, .restOfMessage) }
    let tail = context.vector.byteCount
    if let replies {
      for index in 0..<min(replies.count, IOVector.capacity) where !context.vector.isFull {
        context.vector.append(replies.slice(index), from: index == 0 ? replies.offset : 0)
      }
    }
    if tail == 0, bufferedBytes == context.vector.byteCount, let source, !sourceIsEnding { source.gather(into: context.vector, .all) }
    return tail
  }

  // MARK: Writing together with others (`SendBatch`)

  internal var batchDescriptor: Int32 { descriptor }

  /// Fills the loop's vector like a flush of its own would; `nil` when this connection must write for itself.
  internal func gatherForBatch() -> Int? {
    guard state == .open, secure == nil, !closesAfterFlush, !awaitsWritable else { return nil }
    isDirty = false
    return gather()
  }

  /// - Parameter result: bytes sent, or a negative errno.
  internal func didSendInBatch(_ result: Int, of ready: Int, tailOfMessage tail: Int) {
    guard state == .open else { return }
    guard result >= 0 else { return sendFailed(Int32(clamping: -result)) }
    didSend(result, tailOfMessage: tail)
    if result < ready {
      awaitWritable()
    } else if tail > 0 || bufferedBytes > 0 || source?.hasMore == true {
      setNeedsFlush()
    }
  }

  /// Writes the vector; `nil` when nothing went.
  private func transmit() -> Int? {
    let sent = martlet_send(descriptor, context.vector.parts, Int32(context.vector.count))
    if sent >= 0 { return sent }
    sendFailed(Int32(clamping: -sent))
    return nil
  }

  private func sendFailed(_ code: Int32) {
    if code == EAGAIN { awaitWritable() } else { close(.failed(SystemError("write", code: code))) }
  }

  private func encrypt(with secure: SecureLayer, tailOfMessage tail: Int) -> Bool {
    do throws(TLSError) {
      let taken = try secure.send(context.vector)
      didSend(taken, tailOfMessage: tail)
      return true
    } catch {
      close(.insecure(error))
      return false
    }
  }

  /// Ciphertext goes out before anything more is encrypted, so that at most one batch waits here.
  private func sendCiphertext() -> Bool {
    guard let secure else { return false }
    context.vector.removeAll()
    secure.gather(into: context.vector)
    let ready = context.vector.byteCount
    guard let sent = transmit() else { return false }
    secure.didSend(sent)
    lastWrite = context.now
    if sent < ready { awaitWritable() }
    return sent == ready
  }

  private func didSend(_ sent: Int, tailOfMessage tail: Int) {
    lastWrite = context.now
    bytesSent += sent
    context.bytesSent += sent
    var left = sent
    if tail > 0 {
      source?.advance(by: min(left, tail))
      left -= min(left, tail)
      if sourceIsEnding, source?.isMidMessage == false { source = nil }
    }
    let replied = min(left, bufferedBytes)
    dropReplies(replied)
    if left > replied { source?.advance(by: left - replied) }
    if owesWritable, bufferedBytes < Self.lowWater {
      owesWritable = false
      context.atEndOfTurn { [weak self] in
        guard let self, self.isOpen else { return }
        self.handler?.connectionIsWritable(self)
      }
    }
  }

  private func dropReplies(_ count: Int) {
    guard count > 0, let queue = replies else { return }
    queue.drop(count)
    // An idle connection holds none.
    if queue.count == 0 { replies = nil }
  }

  private func awaitWritable() {
    awaitsWritable = true
    updateInterest()
  }

  // MARK: Readiness

  private func updateInterest() {
    guard state != .closed else { return }
    var events: UInt32 = 0
    if !isReadingPaused, !sawEnd, state != .connecting { events |= UV_READABLE.rawValue }
    if awaitsWritable || state == .connecting { events |= UV_WRITABLE.rawValue }
    // With both directions paused the kernel still reports a reset.
    if events == 0 { events = UV_DISCONNECT.rawValue }
    uv_poll_start(poll.pointer, Int32(events)) { handle, status, events in
      guard let data = handle?.pointee.data else { return }
      Unmanaged<TCPConnection>.fromOpaque(data).takeUnretainedValue().ready(status: status, events: UInt32(events))
    }
  }

  private func ready(status: Int32, events: UInt32) {
    // Keeps the object alive while its handler closes it.
    withExtendedLifetime(self) {
      if status < 0 { return failPolling(status) }
      if state == .connecting { return finishConnecting() }
      if events & UV_WRITABLE.rawValue != 0, awaitsWritable {
        awaitsWritable = false
        updateInterest()
        flushAtEndOfTurn()
      }
      if events & UV_READABLE.rawValue != 0, state != .closed, !isReadingPaused { readable() }
      if events & UV_DISCONNECT.rawValue != 0, state != .closed { close(.peer) }
    }
  }

  /// libuv says EBADF whatever the kernel reported; the socket knows better.
  private func failPolling(_ status: Int32) {
    let code = martlet_socket_error(descriptor)
    if code == ECONNRESET || code == EPIPE { return close(.peer) }
    close(.failed(SystemError(state == .connecting ? "connect to \(remote)" : "poll", code: code == 0 ? -status : code)))
  }

  private func finishConnecting() {
    let code = martlet_socket_error(descriptor)
    guard code == 0 else { return close(.failed(SystemError("connect to \(remote)", code: code))) }
    state = .open
    updateInterest()
    guard let secure else {
      handler?.connectionDidOpen(self)
      return setNeedsFlush()
    }
    do throws(TLSError) { try secure.start() } catch { return close(.insecure(error)) }
    setNeedsFlush()
  }

  // MARK: Closing

  private func fail(_ operation: String) {
    let code = errno
    close(code == ECONNRESET ? .peer : .failed(SystemError(operation, code: code)))
  }

  /// Sends what is queued and what the source still has, tells the peer that nothing follows, waits up to a second for it to agree, then closes. Closing
  /// at once would make the kernel throw away a refusal that the peer has not read.
  package func closeAfterFlush() {
    guard isOpen, !closesAfterFlush else { return }
    closesAfterFlush = true
    if state == .connecting { return close(.local) }
    isReadingPaused = false
    updateInterest()
    isDirty = true
    context.markDirty(self)
    context.schedule(after: .seconds(10)) { [weak self] in self?.close(.local) }
  }

  private func beginLinger() {
    handlerDidClose(.local)
    if sawEnd { return close(.local) }
    state = .lingering
    shutdown(descriptor, Int32(SHUT_WR))
    context.schedule(after: .seconds(1)) { [weak self] in self?.close(.local) }
  }

  /// Closes at once; what is queued is lost.
  package func close(_ reason: CloseReason = .local) {
    guard state != .closed else { return }
    state = .closed
    uv_poll_stop(poll.pointer)
    poll.close()
    Glibc.close(descriptor)
    census?.leave(remote.ip)
    replies = nil
    context.remove(self)
    handlerDidClose(reason)
  }

  /// Gives the connection up, for another loop to take; the handler hears no more of it. `nil` when that is not possible: it is
  /// over TLS, or something waits to be sent.
  package func handOver() -> TCPHandover? {
    guard state == .open, secure == nil, bufferedBytes == 0, !closesAfterFlush else { return nil }
    state = .closed
    uv_poll_stop(poll.pointer)
    poll.close()
    (handler, source) = (nil, nil)
    context.remove(self)
    return TCPHandover(descriptor, remote: remote, census: census)
  }

  internal func loopWillStop() { close(.serverStopping) }

  private func handlerDidClose(_ reason: CloseReason) {
    let handler = exchange(&handler, with: nil)
    source = nil
    handler?.connectionDidClose(self, reason)
  }
}

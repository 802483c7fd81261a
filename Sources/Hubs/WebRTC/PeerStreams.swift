package import MartletICE
internal import MartletIO
internal import MartletPeerEngine
package import MartletPrimitives

/// The TCP side of a worker's port, for peers whose network lets no UDP through: passive candidates (RFC 6544). A connection belongs
/// to the session that its first frame, a check, names by user name fragment.
package final class PeerStreams: DatagramPath {
  /// Of what peers may take.
  package struct Limits: Sendable {
    /// Connections that have passed no check yet: of one address (one /64 of IPv6), and of all. Of more from one address the newest
    /// is closed, of more from all the oldest.
    package var waitingPerAddress = 32
    package var waiting = 256
    /// How long one may take to pass a check.
    package var patience = TimeSpan.seconds(5)
    /// Connections of one session; the oldest that is not in use gives way.
    package var perSession = 8
    /// Bytes that wait for one peer, beyond what the kernel takes.
    package var output = 512 << 10

    package init() {}
  }

  package struct Statistics: Sendable {
    package internal(set) var accepted = 0
    /// Closed without having passed a check.
    package internal(set) var refused = 0
    /// Datagrams for peers that did not keep up.
    package internal(set) var dropped = 0
  }

  package let base: ICEBase
  package private(set) var statistics = Statistics()
  /// What was received lies here, to be decrypted in place. STUN, DTLS, SRTP and SRTCP stay below 1500 bytes.
  let inbox = UnsafeMutableRawBufferPointer.allocate(byteCount: 2048, alignment: 16)
  private let outbox = UnsafeMutableRawBufferPointer.allocate(byteCount: UDPSocket.maximumSend, alignment: 16)
  private let context: LoopContext
  private let limits: Limits
  private unowned let socket: PeerSocket
  private var listener: TCPListener?
  private var streams: [SocketAddress: PeerStream] = [:]
  /// Those that have passed no check, the oldest first, and those that have, by session.
  private var waiting: [PeerStream] = []
  private var admitted: [ObjectIdentifier: [PeerStream]] = [:]

  init(_ listener: TCPListener, index: UInt32, for socket: PeerSocket, _ limits: Limits, in context: LoopContext) {
    self.listener = listener
    self.socket = socket
    self.limits = limits
    self.context = context
    base = ICEBase(socket: index, transport: .tcp, address: listener.address)
  }

  deinit {
    inbox.deallocate()
    outbox.deallocate()
  }

  package var count: Int { streams.count }

  func close() {
    listener?.close()
    listener = nil
    for stream in Array(streams.values) { stream.connection.closeAfterFlush() }
  }

  // MARK: Connections

  func accept(_ connection: TCPConnection) { add(PeerStream(connection, of: self, outputLimit: limits.output)) }

  /// One that came in at another worker, and what came over it.
  func accept(_ handover: TCPHandover, _ bytes: Slice) {
    let stream = PeerStream(TCPConnection(handover, in: context), of: self, outputLimit: limits.output)
    add(stream)
    if stream.connection.isOpen { stream.receive(bytes.bytes) }
  }

  private func add(_ stream: PeerStream) {
    let connection = stream.connection
    statistics.accepted += 1
    streams[connection.remote] = stream
    waiting.append(stream)
    let origin = connection.remote.ip.origin
    if waiting.count(where: { $0.connection.remote.ip.origin == origin }) > limits.waitingPerAddress { return connection.close() }
    if waiting.count > limits.waiting, let oldest = waiting.first { oldest.connection.close() }
    context.schedule(after: limits.patience) { [weak stream] in
      if let stream, stream.admission == nil { stream.connection.close() }
    }
  }

  func remove(_ stream: PeerStream) {
    let remote = stream.connection.remote
    if streams[remote] === stream {
      streams[remote] = nil
      stream.session?.transport.unreachable(base, to: remote, now: context.now)
      stream.session?.settleSoon()
    }
    guard let key = stream.admission else {
      statistics.refused += 1
      return waiting.removeAll { $0 === stream }
    }
    admitted[key]?.removeAll { $0 === stream }
    if admitted[key]?.isEmpty == true { admitted[key] = nil }
  }

  /// The session has ended; what it still has to say leaves first.
  func closeAll(of session: PeerSession) {
    for stream in admitted[ObjectIdentifier(session)] ?? [] { stream.connection.closeAfterFlush() }
  }

  // MARK: In

  /// - Parameter rest: what came behind the datagram.
  /// - Returns: false when the stream is nobody's here.
  func receive(_ datagram: UnsafeMutableRawBufferPointer, on stream: PeerStream, rest: RawSpan) -> Bool {
    let remote = stream.connection.remote
    guard let session = stream.session ?? socket.session(named: UnsafeRawBufferPointer(datagram).bytes) else {
      if !handOver(stream, UnsafeRawBufferPointer(datagram), rest) { stream.connection.close() }
      return false
    }
    stream.session = session
    socket.touch(session)
    session.receive(datagram, from: remote, on: base)
    if stream.admission == nil, session.transport.isValidated(base, remote) { admit(stream, session) }
    return true
  }

  func settle() { socket.settleTouched() }

  private func admit(_ stream: PeerStream, _ session: PeerSession) {
    let key = ObjectIdentifier(session)
    stream.admission = key
    waiting.removeAll { $0 === stream }
    admitted[key, default: []].append(stream)
    guard let own = admitted[key], own.count > limits.perSession else { return }
    let used = session.transport.selectedPair?.remote
    own.first { $0 !== stream && $0.connection.remote != used }?.connection.close()
  }

  /// To the worker that the check names, where workers share a port.
  private func handOver(_ stream: PeerStream, _ datagram: UnsafeRawBufferPointer, _ rest: RawSpan) -> Bool {
    guard let neighbours = socket.neighbours, let worker = neighbours.worker(named: datagram.bytes),
      let handover = stream.connection.handOver()
    else { return false }
    var bytes: [UInt8] = []
    guard ICEStream.write(datagram.bytes, into: &bytes) else { return false }
    bytes.append(rest)
    streams[handover.remote] = nil
    waiting.removeAll { $0 === stream }
    neighbours.send(.stream(handover, Slice(bytes)), to: worker)
    return true
  }

  // MARK: Out

  package func reserve(_ size: Int) -> UnsafeMutableRawBufferPointer? {
    (1...outbox.count).contains(size) ? UnsafeMutableRawBufferPointer(rebasing: outbox[..<size]) : nil
  }

  package func commit(_ size: Int, to peer: SocketAddress) {
    guard let stream = streams[peer], size <= outbox.count else { return }
    if !stream.append(UnsafeRawBufferPointer(rebasing: outbox[..<size])) { statistics.dropped += 1 }
  }
}

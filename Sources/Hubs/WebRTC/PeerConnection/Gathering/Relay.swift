internal import MartletCrypto
internal import MartletICE
internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN

/// A relayed candidate: an allocation at a TURN server (RFC 8656), over the socket of a host candidate or a connection of its own.
/// To the session it is a path like any other; what it has to know of peers (permissions, channels) it asks for by itself.
final class Relay: DatagramPath, TCPConnectionHandler {
  private enum Carrier {
    case datagrams(HostSocket, SocketAddress)
    case stream(TCPConnection)
    /// Not connected yet, or no more.
    case none
  }

  let server: ICEServerURL
  let credentials: TURNCredentials
  /// How often servers have sent us on to others.
  let redirections: Int
  private(set) var base: ICEBase?
  private(set) var isOver = false
  private let index: UInt32
  private var client: TURNClient
  private var carrier: Carrier
  private var connector: Connector?
  private var reader = TURNStreamReader()
  /// DTLS between the client and the socket.
  private var security: DTLSEngine?
  private var records = DatagramBatch()
  private var datagrams = DatagramBatch()
  private unowned let gatherer: CandidateGatherer
  /// Checks for peers that the server does not know yet: they leave with its permission instead of half a second later.
  private var held: [(peer: SocketAddress, datagram: Slice)] = []
  private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: UDPSocket.maximumSend, alignment: 16)
  private var wrapped: [UInt8] = []

  private static let maximumHeld = 16
  /// What may wait for a stream before datagrams are dropped: late media is worse than lost media.
  private static let maximumBuffered = 128 << 10

  /// Over the socket of a host candidate.
  /// - Parameter tls: what DTLS verifies the server with.
  init(
    _ server: ICEServerURL, _ credentials: TURNCredentials, at address: SocketAddress, over socket: HostSocket, _ tls: TLSContext?,
    index: UInt32, redirections: Int, of gatherer: CandidateGatherer
  ) {
    self.server = server
    self.credentials = credentials
    self.index = index
    self.redirections = redirections
    self.gatherer = gatherer
    carrier = .datagrams(socket, address)
    client = TURNClient(credentials.configuration(.datagram, at: address.ip), random: .system)
    security = tls.flatMap { try? DTLSEngine(client: $0, serverName: server.host) }
  }

  /// Over TCP or TLS; which address the connection comes from is up to the system.
  init(
    _ server: ICEServerURL, _ credentials: TURNCredentials, to host: String, port: UInt16, _ options: Connector.Options, index: UInt32,
    redirections: Int, of gatherer: CandidateGatherer
  ) {
    self.server = server
    self.credentials = credentials
    self.index = index
    self.redirections = redirections
    self.gatherer = gatherer
    carrier = .none
    client = TURNClient(credentials.configuration(.stream, at: nil), random: .system)
    connector = Connector(to: host, port: port, options, in: gatherer.context) { [weak self] result in self?.didConnect(result) }
  }

  deinit { scratch.deallocate() }

  /// No candidate yet, and none to be despaired of.
  var isAsking: Bool { base == nil && !isOver }

  private var now: Instant { gatherer.context.now }

  func start() {
    if let security, security.state != .connected {
      security.start()
      return flushSecurity()
    }
    client.start(now: now)
    settle()
  }

  private func didConnect(_ result: Result<TCPConnection, ConnectError>) {
    connector = nil
    switch result {
    case .success(let connection):
      carrier = .stream(connection)
      // Only now is the address of the server known.
      client = TURNClient(credentials.configuration(.stream, at: connection.remote.ip), random: .system)
      connection.handler = self
      start()
    case .failure(let error): end(.unreachable("\(error)"))
    }
  }

  /// Gives the allocation back; nobody hears of it.
  func close() {
    connector?.cancel()
    connector = nil
    isOver = true
    client.close(now: now)
    settle()
    disconnect()
  }

  private func disconnect() {
    security?.close()
    flushSecurity()
    if case .stream(let connection) = carrier {
      connection.handler = nil
      connection.closeAfterFlush()
    }
    carrier = .none
  }

  // MARK: What the server has to know

  func permit(_ ip: IPAddress) {
    guard client.permit(ip, now: now) else { return }
    settle()
  }

  /// The pair with this peer is in use: its data goes without STUN headers from now on.
  func bind(_ peer: SocketAddress) {
    guard client.bindChannel(to: peer, now: now) else { return }
    settle()
  }

  var deadline: Instant? { .earliest(client.deadline, security?.deadline(now: now)) }

  func timeout(now: Instant) {
    if let security, let due = security.deadline(now: now), due <= now {
      security.timeout()
      flushSecurity()
      checkSecurity()
    }
    guard let due = client.deadline, due <= now else { return }
    client.timeout(now: now)
    settle()
  }

  /// Sends what the client has to say and does what follows from what it heard.
  private func settle() {
    while true {
      if let message = client.pollTransmit() {
        transmit(message)
      } else if let event = client.pollEvent() {
        act(on: event)
      } else {
        return
      }
    }
  }

  private func act(on event: TURNEvent) {
    switch event {
    case .allocated(let relayed, let mapped):
      let base = ICEBase(socket: index, address: relayed)
      self.base = base
      gatherer.didAllocate(self, base, mapped: mapped, over: hostSocket?.base)
    case .permitted(let ip): release(ip)
    case .refused(let ip, _):
      held.removeAll { $0.peer.ip == ip }
      if let base { gatherer.relay(base, refuses: ip) }
    case .data(let data, let peer): data.withUnsafeBytes { hand($0, from: peer) }
    // Easily forged, and early: whether a path works the checks tell.
    case .channelBound, .icmp: break
    case .ended(let reason): end(ICEServerFailure(reason))
    }
  }

  private var hostSocket: HostSocket? { if case .datagrams(let socket, _) = carrier { socket } else { nil } }

  private func end(_ reason: ICEServerFailure) {
    guard !isOver else { return }
    isOver = true
    let address: SocketAddress? =
      switch carrier {
      case .datagrams(let socket, _): socket.base.address
      case .stream(let connection): connection.local
      case .none: nil
      }
    let socket = hostSocket
    disconnect()
    gatherer.didEnd(self, reason, over: socket, from: address)
  }

  // MARK: DatagramPath

  func reserve(_ size: Int) -> UnsafeMutableRawBufferPointer? {
    (1...scratch.count).contains(size) ? UnsafeMutableRawBufferPointer(rebasing: scratch[..<size]) : nil
  }

  func commit(_ size: Int, to peer: SocketAddress) {
    guard !isOver, size <= scratch.count else { return }
    let datagram = UnsafeRawBufferPointer(rebasing: scratch[..<size]).bytes
    wrapped.removeAll(keepingCapacity: true)
    if client.wrap(datagram, to: peer, into: &wrapped) { return transmit(wrapped) }
    if held.count == Self.maximumHeld { held.removeFirst() }
    held.append((peer, Slice(copying: datagram)))
    permit(peer.ip)
  }

  private func release(_ ip: IPAddress) {
    let ready = held.filter { $0.peer.ip == ip }
    held.removeAll { $0.peer.ip == ip }
    for (peer, datagram) in ready { send(datagram.bytes, to: peer) }
  }

  private func transmit(_ message: [UInt8]) {
    switch carrier {
    case .datagrams(let socket, let server):
      guard let security else { return socket.socket.send(message.span.bytes, to: server) }
      security.send(message.span.bytes)
      flushSecurity()
    case .stream(let connection): if connection.bufferedBytes < Self.maximumBuffered { connection.write(message) }
    case .none: break
    }
  }

  // MARK: What comes in

  /// A datagram from the server's address.
  /// - Returns: false when it is none of ours.
  func receive(_ datagram: UnsafeMutableRawBufferPointer) -> Bool {
    guard security == nil else {
      receiveSecurely(UnsafeRawBufferPointer(datagram).bytes)
      return true
    }
    guard let base, let (peer, range) = client.unwrap(UnsafeRawBufferPointer(datagram).bytes) else {
      do throws(STUNError) { try client.receive(UnsafeRawBufferPointer(datagram).bytes, now: now) } catch { return false }
      settle()
      return true
    }
    gatherer.session.receive(UnsafeMutableRawBufferPointer(rebasing: datagram[range]), from: peer, on: base)
    return true
  }

  private func receiveSecurely(_ datagram: RawSpan) {
    guard let security else { return }
    let wasConnected = security.state == .connected
    records.removeAll()
    security.receive(datagram, into: &records)
    flushSecurity()
    if !wasConnected, security.state == .connected { start() }
    var messages: [Slice] = []
    for index in 0..<records.count { messages.append(Slice(copying: records[index])) }
    for message in messages where !isOver { take(message) }
    checkSecurity()
  }

  private func checkSecurity() {
    switch security?.state {
    case .failed(let error): end(.unreachable("DTLS: \(error)"))
    case .closed: end(.unreachable("the server has ended DTLS"))
    case .handshaking, .unverified, .connected, nil: break
    }
  }

  private func flushSecurity() {
    guard let security, security.hasOutput, case .datagrams(let socket, let server) = carrier else { return }
    security.takeOutput(into: &datagrams)
    for index in 0..<datagrams.count { socket.socket.send(datagrams[index], to: server) }
  }

  /// Data that lies where it must not be written to is decrypted in a copy.
  private func hand(_ data: UnsafeRawBufferPointer, from peer: SocketAddress) {
    guard let base, data.count > 0 else { return }
    withUnsafeTemporaryAllocation(byteCount: data.count, alignment: 16) { copy in
      copy.copyMemory(from: data)
      gatherer.session.receive(copy, from: peer, on: base)
    }
  }

  func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    var messages: [Slice] = []
    var isBroken = false
    do throws(STUNError) { try reader.receive(bytes, into: &messages) } catch { isBroken = true }
    for message in messages where !isOver { take(message) }
    gatherer.session.settle()
    if isBroken { end(.malformed) }
  }

  private func take(_ message: Slice) {
    if let (peer, range) = client.unwrap(message.bytes) {
      message.sub(range).withUnsafeBytes { hand($0, from: peer) }
    } else {
      // One that is not understood changes nothing.
      do throws(STUNError) { try client.receive(message.bytes, now: now) } catch {}
      settle()
    }
  }

  func connectionDidReachEnd(_ connection: TCPConnection) { connection.close(.peer) }

  func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    end(.unreachable("the connection ended: \(reason)"))
    gatherer.session.settle()
  }
}

/// What a TURN server knows an application by.
struct TURNCredentials: Equatable {
  var username: String
  var password: String

  /// - Parameter server: whose family the relayed address is to have: what reaches it there reaches peers there.
  func configuration(_ transport: TURNConfiguration.Transport, at server: IPAddress?) -> TURNConfiguration {
    var configuration = TURNConfiguration(transport: transport, username: username, password: password)
    if let server, !server.isV4 { configuration.family = .v6 }
    configuration.schedule =
      transport == .datagram ? .gathering : ClientTransaction.Schedule(initial: .milliseconds(9_500), requests: 1, lastWait: 1)
    return configuration
  }
}

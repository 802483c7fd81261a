internal import MartletCrypto
internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN
internal import MartletWebRTC

/// The clients over DTLS of one worker, on the UDP port of `listeners.turns`.
///
/// An address gets an association when it has shown a cookie (`DTLSListener`), not before. There are so many of them in all and of one
/// address; a handshake that stands still and an association without an allocation end soon.
internal final class TURNAssociations: UDPSocketHandler {
  private let socket: UDPSocket
  private unowned let listener: TURNListener
  private let tls: () -> TLSContext
  private let key: [UInt8]
  private var door: DTLSListener
  private var context: TLSContext
  private var members: [SocketAddress: TURNAssociation] = [:]
  private var census = TURNClientCensus.associations
  private var buffer: UnsafeMutableRawBufferPointer
  private var output = DatagramBatch()
  private var records = DatagramBatch()
  private var sweep: SlabID?
  /// Whether some handshake may be under way.
  private var isHandshaking = false

  private static let handshakeTime = TimeSpan.seconds(15)
  private static let idleTime = TimeSpan.seconds(60)
  /// A flight is sent again when it is due, at most so much late.
  private static let beat = TimeSpan.milliseconds(100)
  private static let slowBeat = TimeSpan.seconds(5)
  private static let largestRecord = 16_384

  /// - Parameter tls: asked when an association may begin, so that certificates can be exchanged while the server runs.
  internal init(on address: SocketAddress, tls: @escaping () -> TLSContext, of listener: TURNListener) throws(TURNAssociationError) {
    self.listener = listener
    self.tls = tls
    key = listener.shared.cookieKey
    context = tls()
    do throws(TLSError) { door = try DTLSListener(context, key: key) } catch { throw .tls(error) }
    do throws(SystemError) {
      socket = try UDPSocket(address, in: listener.context, sharesPort: true, largest: UDPSocket.maximumDatagram)
    } catch { throw .system(error) }
    buffer = .allocate(byteCount: Self.largestRecord, alignment: 16)
    socket.handler = self
  }

  deinit { buffer.deallocate() }

  internal var count: Int { members.count }

  // MARK: In

  internal func socket(_ socket: UDPSocket, didReceive datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, ecn: UInt8) {
    let bytes = UnsafeRawBufferPointer(datagram).bytes
    // A client that has begun anew with the same port has no keys yet (RFC 6347 §4.2.8): it shows a cookie like any other, and what is
    // there stays until it has.
    guard let association = members[peer], association.engine.state == .handshaking || !Self.beginsAnew(bytes) else {
      return knock(bytes, from: peer)
    }
    association.lastHeard = listener.context.now
    receive(bytes, for: association)
  }

  /// A record of a handshake (22) in epoch 0.
  private static func beginsAnew(_ bytes: RawSpan) -> Bool { bytes.byte(at: 0) == 22 && bytes.byte(at: 3) == 0 && bytes.byte(at: 4) == 0 }

  private func receive(_ bytes: RawSpan, for association: TURNAssociation) {
    records.removeAll()
    association.engine.receive(bytes, into: &records)
    for index in 0..<records.count { listener.receive(records[index], from: association.flow) }
    flush(association.engine, to: association.flow.remote)
    switch association.engine.state {
    case .closed, .failed: end(association)
    case .handshaking, .unverified, .connected: break
    }
  }

  private func knock(_ bytes: RawSpan, from peer: SocketAddress) {
    let now = listener.context.now
    do throws(TLSError) {
      let current = tls()
      if current !== context { (context, door) = (current, try DTLSListener(current, key: key)) }
      guard let engine = try door.receive(bytes, from: peer, now: now, answer: &output) else { return send(output, to: peer) }
      if let former = members[peer] { end(former) }
      guard census.add(peer.ip) else { return }
      admit(engine, peer, now: now)
    } catch { listener.context.log(.error, "turn", "\(error)", ["listener": "DTLS \(socket.local)"]) }
  }

  private func admit(_ engine: DTLSEngine, _ peer: SocketAddress, now: Instant) {
    let flow = TURNFlow(remote: peer, path: listener.takePath(), isStream: false)
    let association = TURNAssociation(engine, flow, of: self, now: now)
    members[peer] = association
    listener.attach(association, as: flow)
    flush(engine, to: peer)
    guard !isHandshaking else { return }
    isHandshaking = true
    scheduleSweep(after: Self.beat)
  }

  private func end(_ association: TURNAssociation) {
    let flow = association.flow
    guard members[flow.remote] === association else { return }
    members[flow.remote] = nil
    census.remove(flow.remote.ip)
    association.engine.close()
    flush(association.engine, to: flow.remote)
    listener.detach(flow)
  }

  // MARK: Out

  internal func scratch(_ size: Int) -> UnsafeMutableRawBufferPointer? {
    (1...buffer.count).contains(size) ? UnsafeMutableRawBufferPointer(rebasing: buffer[..<size]) : nil
  }

  internal func flush(_ engine: DTLSEngine, to peer: SocketAddress) {
    guard engine.hasOutput else { return }
    engine.takeOutput(into: &output)
    send(output, to: peer)
  }

  private func send(_ datagrams: DatagramBatch, to peer: SocketAddress) {
    for index in 0..<datagrams.count { socket.send(datagrams[index], to: peer) }
  }

  // MARK: Time

  private func scheduleSweep(after wait: TimeSpan) {
    if let sweep { listener.context.cancel(sweep) }
    sweep = listener.context.schedule(after: wait) { [weak self] in self?.look() }
  }

  /// Only while a handshake is under way is there something to do often.
  private func look() {
    sweep = nil
    let now = listener.context.now
    for association in Array(members.values) { look(at: association, now: now) }
    isHandshaking = members.values.contains { $0.engine.state == .handshaking }
    guard !members.isEmpty else { return }
    scheduleSweep(after: isHandshaking ? Self.beat : Self.slowBeat)
  }

  private func look(at association: TURNAssociation, now: Instant) {
    switch association.engine.state {
    case .handshaking:
      if now - association.began > Self.handshakeTime { return end(association) }
      if let deadline = association.engine.deadline(now: now), deadline <= now {
        association.engine.timeout()
        flush(association.engine, to: association.flow.remote)
      }
      if case .failed = association.engine.state { end(association) }
    case .connected, .unverified:
      guard now - association.lastHeard > Self.idleTime, !listener.server.hasAllocation(association.flow) else { return }
      end(association)
    case .closed, .failed: end(association)
    }
  }
}

/// Why there is no DTLS.
internal enum TURNAssociationError: Error {
  case tls(TLSError)
  case system(SystemError)
}

internal import MartletCrypto
internal import MartletICE
internal import MartletIO
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRTP
internal import MartletSCTP
internal import MartletSDP
internal import MartletWebRTC

/// One client: a full ICE agent on a socket of its own, which offers or answers.
internal final class LoadPeer: UDPSocketHandler, PeerSessionHandler {
  internal let name: String
  internal let context: LoopContext
  internal let session: PeerSession
  /// Places in `session.media.outgoing`.
  internal private(set) var tracks: [TrackKind: Int] = [:]
  internal var isMeasuring = false
  private let role: any LoadRole
  private let socket: UDPSocket
  private let base: ICEBase
  private var negotiation: PeerNegotiation
  private var random: RandomSource

  internal init(_ name: String, _ role: any LoadRole, _ load: PeerLoad, reportsPackets: Bool) throws(SystemError) {
    self.name = name
    self.role = role
    context = load.context
    random = load.random
    socket = try UDPSocket(SocketAddress(ip: load.ip, port: 0), in: context)
    base = ICEBase(socket: 0, address: socket.local)
    let transport = PeerTransport(Self.ice, identity: load.identity, random: random)
    negotiation = PeerNegotiation(
      Self.negotiation(reportsPackets: reportsPackets),
      local: LocalTransport(credentials: transport.localCredentials, fingerprints: [load.identity.fingerprint]),
      random: random)
    session = PeerSession(
      transport, PeerMedia([], [], reporter: UInt32.random(in: 1...UInt32.max, using: &random), cname: negotiation.cname),
      clock: load.clock, in: context)
    socket.handler = self
    session.handler = self
    session.attach(socket, as: 0)
    if let candidate = transport.addLocal(.host, socket.local, base: base, now: context.now) { negotiation.addLocalCandidate(candidate) }
    negotiation.endOfLocalCandidates()
    transport.endOfLocalCandidates(now: context.now)
  }

  /// There is one path, so that nothing better is worth waiting for, and no network to be spared: what a join takes is the server's
  /// time, not the 50 ms that RFC 8445 §14.2 puts between two checks.
  private static let ice: ICEConfiguration = {
    var ice = ICEConfiguration()
    ice.role = .controlling
    ice.nominationDelay = .zero
    ice.pacing = .milliseconds(1)
    return ice
  }()

  private static func negotiation(reportsPackets: Bool) -> NegotiationConfiguration {
    var configuration = NegotiationConfiguration()
    configuration.videoCodecs = CodecSet.coded(96, "VP8")
    configuration.audioCodecs = Array(CodecSet.audio.prefix(1))
    // Janus misses a ClientHello that comes before it has taken note of the nomination, and it is sent again 100 ms later: it begins
    // itself here, which is the better case for it.
    configuration.answeredSetup = .passive
    configuration.audioExtensions = [.mid: .sendrecv]
    if reportsPackets { configuration.audioExtensions[.transportSequenceNumber] = .sendrecv }
    configuration.videoExtensions = configuration.audioExtensions
    return configuration
  }

  // MARK: Signaling

  internal func offer() throws(NegotiationError) -> String {
    try role.prepare(&negotiation)
    let session = try negotiation.setLocalDescription().session
    drain()
    return session.write()
  }

  internal func accept(_ offer: SessionDescription) throws(NegotiationError) -> String {
    try negotiation.setRemoteDescription(.offer, offer)
    let answer = try negotiation.setLocalDescription().session
    drain()
    session.settle()
    return answer.write()
  }

  internal func take(_ answer: SessionDescription) throws(NegotiationError) {
    try negotiation.setRemoteDescription(.answer, answer)
    drain()
    session.settle()
  }

  private func drain() {
    while let event = negotiation.pollEvent() { act(on: event) }
  }

  private func act(on event: NegotiationEvent) {
    let now = context.now
    switch event {
    case .connect(let remote):
      do throws(ICEError) {
        try session.transport.connect(
          to: remote.credentials, isLite: remote.isLite, fingerprints: remote.fingerprints, role: remote.role, iceRole: remote.iceRole,
          now: now)
      } catch { fail("\(error)") }
    case .remoteCandidate(let candidate):
      do throws(ICEError) { try session.transport.addRemote(candidate, now: now) } catch { fail("\(error)") }
    case .endOfRemoteCandidates: session.transport.endOfRemoteCandidates(now: now)
    case .media(let media): apply(media)
    case .dataChannels(let parameters): openDataChannels(parameters)
    case .rejected(let mid, _): fail("section \(mid) is rejected")
    case .signalingStateChanged, .negotiationNeeded, .restartICE, .track, .streamsChanged, .trackRemoved: break
    }
  }

  private func apply(_ media: NegotiatedMedia) {
    session.media.incoming.update(media.incoming)
    for section in media.outgoing where tracks[section.kind] == nil {
      guard let encoding = section.encodings.first else { continue }
      tracks[section.kind] = session.media.outgoing.count
      session.media.outgoing.append(OutgoingTrack(encoding.parameters, random: &random))
    }
  }

  private func openDataChannels(_ parameters: DataChannelParameters) {
    session.enableDataChannels(
      port: parameters.remotePort, largestMessage: parameters.maxMessageSize.map { Int(clamping: $0) } ?? 1 << 30,
      isClient: negotiation.dtlsRole == .client, random: random)
    role.didEnableChannels(self)
  }

  // MARK: What it does

  internal func measure() {
    isMeasuring = true
    role.measure(self)
  }

  internal func report(into totals: inout LoadTotals) {
    isMeasuring = false
    role.report(self, into: &totals)
  }

  internal func stop() { role.stop(self) }

  internal func close() {
    role.stop(self)
    session.close()
    socket.flush()
    socket.close()
  }

  /// A line of output about this peer, with the time at which it happened.
  internal func tell(_ what: String, _ counts: [String: Int64] = [:]) {
    print(what) { line in for (name, count) in counts { line[name] = .int(count) } }
  }

  internal func fail(_ reason: String) { print("failed") { $0["reason"] = .string(reason) } }

  private func print(_ what: String, _ more: (inout JSON.Object) -> Void) {
    var line = JSON.Object()
    line["peer"] = .string(name)
    line["is"] = .string(what)
    line["at"] = .int(context.now.nanoseconds)
    more(&line)
    PeerLoad.print(.object(line))
  }

  // MARK: From below

  internal func socket(_ socket: UDPSocket, didReceive datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, ecn: UInt8) {
    session.receive(datagram, from: peer, on: base)
  }

  internal func socketDidReceiveBatch(_ socket: UDPSocket) { session.settle() }

  internal func session(_ session: PeerSession, didChange state: PeerTransport.State) {
    switch state {
    case .connected:
      tell("connected")
      role.didConnect(self)
    case .failed, .closed: fail(session.transport.failure ?? "\(state)")
    case .new, .connecting, .disconnected: break
    }
  }

  internal func session(_ session: PeerSession, didReceive packet: IncomingMedia.Packet, in buffer: UnsafeRawBufferPointer) {
    role.peer(self, didReceive: packet, in: buffer)
  }

  internal func session(_ session: PeerSession, didReceive event: PeerMedia.Event) { role.peer(self, didReceive: event) }

  internal func session(_ session: PeerSession, didReceive event: DataChannelEvent) { role.peer(self, didReceive: event) }
}

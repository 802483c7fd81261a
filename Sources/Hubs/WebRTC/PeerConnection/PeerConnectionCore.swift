internal import MartletCodecs
internal import MartletCrypto
internal import MartletICE
internal import MartletIO
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRTP
internal import MartletSCTP
internal import MartletSDP

/// A peer connection where it lives: negotiation, the session, and the sockets it gathered.
final class PeerConnectionCore {
  let id: UInt64
  let session: PeerSession
  var watchers: [PeerBox<PeerConnection.ConnectionState>] = []
  private(set) var failure: String?
  private let configuration: PeerConnection.Configuration
  private let events: PeerSequence<PeerConnection.Event>
  private unowned let residents: PeerResidents
  private let context: LoopContext
  private var negotiation: PeerNegotiation
  private var random = RandomSource.system
  private var sockets: [HostSocket] = []
  private var hasGathered = false
  /// Of the peer, before its description.
  private var waitingCandidates: [PeerConnection.Candidate] = []
  private var resolutions = 0
  /// By their numbers on the wire.
  private var channels: [UInt16: DataChannel] = [:]
  private var numbers: [UInt64: UInt16] = [:]
  /// Wanted before the answer, in order: the DTLS role decides the numbers (RFC 8832 §6).
  private var early: [(channel: DataChannel, options: DataChannelOptions)] = []
  private var nextChannel: UInt64 = 1
  private var hasDataChannels = false
  private var rooms: [UInt16: [PeerBox<Void>]] = [:]
  private var localKind = PeerConnection.SessionDescription.Kind.offer
  private var transceivers: [UInt32: MediaTransceiver] = [:]
  var senders: [UInt32: TrackSending] = [:]
  private var receivers: [Int: TrackReceiving] = [:]
  private var sections: [IncomingSection] = []

  /// Messages that wait to be read before the peer is stopped, and candidates that wait for a description.
  private static let maximumWaiting = 100

  init(
    _ id: UInt64, _ configuration: PeerConnection.Configuration, _ events: PeerSequence<PeerConnection.Event>, _ residents: PeerResidents
  ) {
    self.id = id
    self.configuration = configuration
    self.events = events
    self.residents = residents
    context = residents.context
    let identity = try? residents.identity()
    var ice = ICEConfiguration()
    ice.role = .controlling
    guard let identity else { preconditionFailure("OpenSSL makes a certificate") }
    let transport = PeerTransport(ice, identity: identity, random: random)
    let local = LocalTransport(credentials: transport.localCredentials, fingerprints: [identity.fingerprint])
    var options = NegotiationConfiguration()
    options.maxMessageSize = UInt64(clamping: configuration.maximumMessageSize)
    negotiation = PeerNegotiation(options, local: local, random: random)
    session = PeerSession(
      transport, PeerMedia([], [], reporter: UInt32.random(in: 1...UInt32.max, using: &random), cname: negotiation.cname),
      clock: residents.clock, in: context)
    session.handler = self
  }

  var localDescription: PeerConnection.SessionDescription? {
    negotiation.localDescription.map { PeerConnection.SessionDescription(localKind, sdp: $0.write()) }
  }

  var connectionState: PeerConnection.ConnectionState { PeerConnection.ConnectionState(session.state) }
  var signalingState: PeerConnection.SignalingState {
    PeerConnection.SignalingState(rawValue: negotiation.signalingState.rawValue) ?? .closed
  }

  // MARK: Negotiation

  private func negotiate<R>(_ body: (inout PeerNegotiation) throws(NegotiationError) -> R) throws(PeerError) -> R {
    let result: R
    do throws(NegotiationError) { result = try body(&negotiation) } catch { throw PeerError(error) }
    drain()
    return result
  }

  func createOffer(restartICE: Bool) throws(PeerError) -> PeerConnection.SessionDescription {
    try negotiate { negotiation throws(NegotiationError) in
      if restartICE { try negotiation.restartICE() }
      return PeerConnection.SessionDescription(.offer, sdp: try negotiation.createOffer().write())
    }
  }

  func createAnswer() throws(PeerError) -> PeerConnection.SessionDescription {
    try negotiate { negotiation throws(NegotiationError) in
      PeerConnection.SessionDescription(.answer, sdp: try negotiation.createAnswer().write())
    }
  }

  func setLocal(_ description: PeerConnection.SessionDescription?) throws(PeerError) {
    let description =
      if let description { description } else {
        switch negotiation.signalingState {
        case .haveRemoteOffer, .haveLocalPranswer: try createAnswer()
        default: try createOffer(restartICE: false)
        }
      }
    let (type, parsed) = try parse(description)
    try negotiate { negotiation throws(NegotiationError) in try negotiation.setLocalDescription(type, parsed) }
    localKind = description.kind
    gather()
    session.settle()
  }

  func setRemote(_ description: PeerConnection.SessionDescription) throws(PeerError) {
    let (type, parsed) = try parse(description)
    try negotiate { negotiation throws(NegotiationError) in try negotiation.setRemoteDescription(type, parsed) }
    for candidate in waitingCandidates { do throws(PeerError) { try add(candidate) } catch {} }
    waitingCandidates = []
    session.settle()
  }

  private func parse(_ description: PeerConnection.SessionDescription) throws(PeerError) -> (SDPType, MartletSDP.SessionDescription?) {
    let type = SDPType(rawValue: description.kind.rawValue) ?? .offer
    if type == .rollback { return (type, nil) }
    do throws(SDPError) { return (type, try MartletSDP.SessionDescription(description.sdp)) } catch { throw PeerError(.syntax, "\(error)") }
  }

  func add(_ candidate: PeerConnection.Candidate) throws(PeerError) {
    if negotiation.remoteDescription == nil, negotiation.signalingState != .closed {
      guard waitingCandidates.count < Self.maximumWaiting else {
        throw PeerError(.invalidState, "too many candidates before the description")
      }
      waitingCandidates.append(candidate)
      return
    }
    try negotiate { negotiation throws(NegotiationError) in
      try negotiation.addRemoteCandidate(candidate.candidate, mid: candidate.mid, section: candidate.lineIndex)
    }
    session.settle()
  }

  /// Does what the negotiation says, in its order.
  private func drain() {
    while let event = negotiation.pollEvent() { act(on: event) }
  }

  private func act(on event: NegotiationEvent) {
    let now = context.now
    switch event {
    case .signalingStateChanged: events.box.put(.signalingState(signalingState))
    case .negotiationNeeded: events.box.put(.negotiationNeeded)
    case .restartICE(let credentials): session.transport.restartICE(with: credentials, now: now)
    case .connect(let remote):
      do throws(ICEError) {
        if session.state == .new {
          try session.transport.connect(
            to: remote.credentials, isLite: remote.isLite, fingerprints: remote.fingerprints, role: remote.role, iceRole: remote.iceRole,
            now: now)
        } else {
          try session.transport.reconnect(to: remote.credentials, isLite: remote.isLite, now: now)
        }
      } catch { fail("\(error)") }
    // One that cannot be used is no reason to fail.
    case .remoteCandidate(let candidate): do throws(ICEError) { try session.transport.addRemote(candidate, now: now) } catch {}
    case .endOfRemoteCandidates: session.transport.endOfRemoteCandidates(now: now)
    case .media(let media): apply(media)
    case .dataChannels(let parameters): openDataChannels(parameters)
    case .track(let id): if let transceiver = transceiver(id.rawValue) { events.box.put(.track(transceiver)) }
    case .streamsChanged, .trackRemoved, .rejected: break
    }
  }

  private func fail(_ reason: String) { if failure == nil { failure = reason } }

  // MARK: Gathering

  private func gather() {
    guard !hasGathered else { return }
    hasGathered = true
    var addresses = NetworkInterfaces.addresses(v6: true).filter { configuration.includesLoopback || !$0.isLoopback }
    if addresses.isEmpty { addresses = [.v4(0x7F00_0001)] }
    for (index, ip) in addresses.prefix(Self.maximumSockets).enumerated() {
      guard let socket = try? HostSocket(ip, index: UInt32(index), owner: self, in: context) else { continue }
      sockets.append(socket)
      session.attach(socket.socket, as: UInt32(index))
      let made = session.transport.addLocal(
        .host, socket.base.address, base: socket.base, preference: UInt16(65_535 - index), now: context.now)
      tell(made)
    }
    for server in configuration.iceServers.flatMap(\.urls) { ask(server) }
    finishGathering()
  }

  private static let maximumSockets = 16

  /// `stun:HOST[:PORT]` (RFC 7064).
  private func ask(_ url: String) {
    guard url.hasPrefix("stun:"), resolutions < 8 else { return }
    let rest = url.dropFirst(5)
    let colon = rest.hasSuffix("]") ? nil : rest.lastIndex(of: ":")
    let host = String(colon.map { rest[..<$0] } ?? rest)
    let port = colon.flatMap { UInt16(rest[rest.index(after: $0)...]) } ?? 3478
    resolutions += 1
    let id = id
    context.resolve(host) { [weak residents] result in residents?.connections[id]?.didResolve(try? result.get(), port) }
  }

  private func didResolve(_ addresses: [IPAddress]?, _ port: UInt16) {
    resolutions -= 1
    for socket in sockets {
      guard let ip = addresses?.first(where: { $0.isV4 == socket.base.address.ip.isV4 }), !socket.base.address.ip.isLoopback else {
        continue
      }
      socket.ask(SocketAddress(ip: ip, port: port), random: &random, now: context.now)
    }
    session.ownDeadline = sockets.compactMap(\.deadline).min()
    finishGathering()
  }

  func didLearn(_ address: SocketAddress, of base: ICEBase, from server: IPAddress) {
    tell(session.transport.addLocal(.serverReflexive, address, base: base, server: server, now: context.now))
    finishGathering()
    session.settle()
  }

  private func tell(_ candidate: ICECandidate?) {
    guard let candidate else { return }
    negotiation.addLocalCandidate(candidate)
    events.box.put(.candidate(PeerConnection.Candidate("\(candidate)", mid: negotiation.localDescription?.media.first?.mid, lineIndex: 0)))
  }

  private func finishGathering() {
    guard resolutions == 0, !sockets.contains(where: \.isAsking) else { return }
    negotiation.endOfLocalCandidates()
    session.transport.endOfLocalCandidates(now: context.now)
    events.box.put(.candidate(nil))
  }

  // MARK: Media

  func addTransceiver(_ kind: MediaTransceiver.Kind, _ direction: MediaTransceiver.Direction) throws(PeerError) -> MediaTransceiver {
    let id = try negotiate { negotiation throws(NegotiationError) in
      try negotiation.addTransceiver(
        kind == .audio ? .audio : .video, MediaDirection(rawValue: direction.rawValue) ?? .sendrecv,
        track: direction == .sendrecv || direction == .sendonly ? random.text(16) : nil)
    }
    return transceiver(id.rawValue) ?? MediaTransceiver(kind, id: id.rawValue, connection: self.id)
  }

  private func transceiver(_ id: UInt32) -> MediaTransceiver? {
    if let known = transceivers[id] { return known }
    guard let found = negotiation.transceivers.first(where: { $0.id.rawValue == id }) else { return nil }
    let made = MediaTransceiver(found.kind == .audio ? .audio : .video, id: id, connection: self.id)
    transceivers[id] = made
    return made
  }

  private func transceiver(receiving stream: IncomingStream) -> MediaTransceiver? {
    guard sections.indices.contains(stream.section) else { return nil }
    let mid = sections[stream.section].mid
    return negotiation.transceivers.first { $0.mid == mid }.flatMap { transceiver($0.id.rawValue) }
  }

  private func apply(_ media: NegotiatedMedia) {
    sections = media.incoming
    session.media.incoming.update(media.incoming)
    let mode = session.media.congestion?.mode ?? CongestionMode(media.outgoing.map(\.extensions))
    if !media.outgoing.isEmpty, session.media.congestion == nil { session.media.congestion = CongestionControl(mode) }
    for section in media.outgoing {
      guard let encoding = section.encodings.first, let codec = section.codecs.first(where: \.isPrimary) else { continue }
      if let sender = senders[section.transceiver.rawValue] {
        sender.codecs = section.codecs
        session.media.outgoing[sender.index].change(
          payloadType: codec.payloadType, rtxPayloadType: section.rtxPayloadType(for: codec), clockRate: codec.clockRate)
        continue
      }
      var parameters = encoding.parameters
      parameters.stampID = section.extensions.stampID(for: mode)
      session.media.outgoing.append(OutgoingTrack(parameters, random: &random))
      senders[section.transceiver.rawValue] = TrackSending(
        transceiver: section.transceiver.rawValue, index: session.media.outgoing.count - 1, codecs: section.codecs, random: &random)
    }
  }

  func codecs(of id: UInt32) -> [MediaTransceiver.Codec] {
    (senders[id]?.codecs ?? []).filter(\.isPrimary).map {
      MediaTransceiver.Codec(name: $0.name, payloadType: $0.payloadType, clockRate: Int($0.clockRate), parameters: "\($0.parameters)")
    }
  }

  func send(_ frame: MediaTransceiver.Frame, on id: UInt32) throws(PeerError) {
    guard let sender = senders[id] else { throw PeerError(.invalidState, "nothing was negotiated to be sent on this transceiver") }
    guard session.canSend else { return }
    try sender.send(frame, over: session, now: context.now)
    session.settle()
  }

  /// The application makes one.
  func askForKeyFrame(_ sender: TrackSending) {
    if let transceiver = transceiver(sender.transceiver) { events.box.put(.keyFrameRequested(transceiver)) }
  }

  func requestKeyFrame(of id: UInt32) {
    guard let mid = negotiation.transceivers.first(where: { $0.id.rawValue == id })?.mid else { return }
    for (index, stream) in session.media.incoming.streams.enumerated() where sections[stream.section].mid == mid {
      session.media.incoming.requestKeyFrame(index)
    }
    session.settle()
  }

  // MARK: Data channels

  func openChannel(_ label: String, _ options: DataChannel.Options) throws(PeerError) -> DataChannel {
    var wanted = DataChannelOptions(label: label, protocolName: options.protocolName)
    wanted.isOrdered = options.isOrdered
    wanted.maximumRetransmissions = options.maximumRetransmits.map { UInt16(clamping: $0) }
    wanted.lifetime = options.maximumPacketLifetime.map { TimeSpan($0) }
    wanted.negotiatedID = options.negotiatedID.map { UInt16(clamping: $0) }
    try negotiate { negotiation throws(NegotiationError) in try negotiation.openDataChannels() }
    let channel = DataChannel(wanted, key: nextChannel, connection: id)
    nextChannel += 1
    if hasDataChannels { try open(channel, wanted) } else { early.append((channel, wanted)) }
    return channel
  }

  private func open(_ channel: DataChannel, _ options: DataChannelOptions) throws(PeerError) {
    do throws(DataChannelError) {
      let number = try session.openChannel(options)
      channels[number] = channel
      numbers[channel.key] = number
    } catch { throw PeerError(.operation, "\(error)") }
    session.settle()
  }

  private func openDataChannels(_ parameters: DataChannelParameters) {
    guard !hasDataChannels, let role = negotiation.dtlsRole else { return }
    hasDataChannels = true
    let largest = parameters.maxMessageSize.map { $0 == 0 ? 1 << 30 : Int(clamping: $0) } ?? 1 << 30
    session.enableDataChannels(port: parameters.remotePort, largestMessage: largest, isClient: role == .client, random: random)
    for (channel, options) in exchange(&early, with: []) {
      do throws(PeerError) { try open(channel, options) } catch { channel.didClose() }
    }
  }

  func bufferedAmount(of key: UInt64) -> Int { numbers[key].map { session.bufferedAmount(of: $0) } ?? 0 }

  func send(_ kind: DataChannelKind, _ payload: Slice, on key: UInt64) throws(PeerError) {
    guard let number = numbers[key] else { throw PeerError(.invalidState, "the channel is not open: wait for waitUntilOpen") }
    do throws(DataChannelError) { try session.send(kind, payload, on: number) } catch { throw PeerError(.operation, "\(error)") }
    session.settle()
  }

  /// Tells `box` when a channel may be sent on again.
  func tellRoom(of key: UInt64, _ box: PeerBox<Void>) {
    guard let number = numbers[key], session.bufferedAmount(of: number) > 1 << 20 else {
      box.put(())
      return box.finish()
    }
    session.setLowThreshold(256 << 10, of: number)
    rooms[number, default: []].append(box)
  }

  func closeChannel(_ key: UInt64) {
    guard let number = numbers[key] else {
      for entry in early where entry.channel.key == key { entry.channel.didClose() }
      return early.removeAll { $0.channel.key == key }
    }
    session.closeChannel(number)
    session.settle()
  }

  func resumeData() {
    guard session.isDataPaused else { return }
    session.isDataPaused = false
    session.settle()
  }

  // MARK: Statistics and the end

  var statistics: PeerConnection.Statistics {
    var statistics = PeerConnection.Statistics()
    (statistics.bytesSent, statistics.bytesReceived) = (session.bytesSent, session.bytesReceived)
    statistics.packetsSent = session.packetsSent
    if let pair = session.transport.selectedPair {
      statistics.remoteAddress = "\(pair.remote)"
      statistics.localCandidateType = pair.localType.rawValue
      statistics.remoteCandidateType = pair.remoteType.rawValue
      let report = session.transport.pairs.first { $0.id == pair.id }
      statistics.currentRoundTripTime = report.map { .nanoseconds($0.counters.roundTrip.nanoseconds) }
    }
    statistics.availableOutgoingBitrate = session.media.congestion?.estimate?.bitsPerSecond
    statistics.dtlsCipher = session.transport.dtls?.cipher
    statistics.srtpCipher = session.transport.srtpProfile.map { "\($0)" }
    if let data = session.dataStatistics {
      (statistics.messagesSent, statistics.messagesReceived) = (data.messagesSent, data.messagesReceived)
      statistics.congestionWindow = data.congestionWindow
    }
    return statistics
  }

  func close() {
    guard residents.connections.removeValue(forKey: id) != nil else { return }
    negotiation.close()
    session.close()
    for socket in sockets {
      socket.socket.flush()
      socket.socket.close()
    }
    for watcher in watchers {
      watcher.put(.closed)
      watcher.finish()
    }
    events.box.put(.connectionState(.closed))
    events.box.finish()
    for channel in Array(channels.values) + early.map(\.channel) { channel.didClose() }
    for boxes in rooms.values { for box in boxes { box.finish() } }
    for transceiver in transceivers.values { transceiver.finish() }
    sockets = []
  }
}

extension PeerConnectionCore: PeerSessionHandler {
  func session(_ session: PeerSession, didChange state: PeerTransport.State) {
    failure = session.transport.failure
    let state = PeerConnection.ConnectionState(state)
    // The peer has said goodbye.
    guard state != .closed else { return context.atEndOfTurn { [weak self] in self?.close() } }
    events.box.put(.connectionState(state))
    for watcher in watchers { watcher.put(state) }
  }

  func session(_ session: PeerSession, didRaise event: ICEEvent) {
    guard case .needsResolution(let candidate) = event, case .name(let name) = candidate.host else { return }
    let id = id
    context.resolve(name) { [weak residents] result in
      guard let core = residents?.connections[id], let ip = try? result.get().first else { return }
      do throws(ICEError) { try core.session.transport.addRemote(candidate.resolved(to: ip), now: core.context.now) } catch {}
      core.session.settle()
    }
  }

  func session(_ session: PeerSession, didReceive packet: IncomingMedia.Packet, in buffer: UnsafeRawBufferPointer) {
    let stream = session.media.incoming.streams[packet.stream]
    guard let transceiver = transceiver(receiving: stream) else { return }
    let payload = Slice(copying: UnsafeRawBufferPointer(rebasing: buffer[packet.payload]).bytes)
    transceiver.packets.box.put(
      MediaTransceiver.Packet(
        payloadType: packet.header.payloadType, sequenceNumber: packet.header.sequenceNumber, timestamp: packet.header.timestamp,
        marker: packet.header.marker, payload: payload.array))
    if receivers[packet.stream]?.codec != stream.media { receivers[packet.stream] = stream.media.flatMap { TrackReceiving($0) } }
    if receivers[packet.stream]?.receive(packet.header, payload, into: transceiver, now: context.now) == true {
      session.media.incoming.requestKeyFrame(packet.stream)
    }
  }

  func session(_ session: PeerSession, didReceive event: PeerMedia.Event) {
    switch event {
    case .keyFrameRequested(let index):
      if let sender = senders.values.first(where: { $0.index == index }) { askForKeyFrame(sender) }
    case .missing(let index, let lost):
      senders.values.first { $0.index == index }?.retransmit(lost, over: session, now: context.now)
    case .goodbye: break
    }
  }

  func session(_ session: PeerSession, didReceive event: DataChannelEvent) {
    switch event {
    case .opened(let number, let options):
      let channel = DataChannel(options, key: nextChannel, connection: id)
      nextChannel += 1
      channels[number] = channel
      numbers[channel.key] = number
      channel.didOpen()
      events.box.put(.dataChannel(channel))
    case .open(let number): channels[number]?.didOpen()
    case .message(let number, let kind, let payload):
      guard let channel = channels[number] else { return }
      let count = channel.messages.box.put(
        kind == .text ? .text(String(repairing: payload.bytes)) : .binary(payload.array))
      if count > Self.maximumWaiting { session.isDataPaused = true }
    case .bufferedAmountLow(let number):
      for box in rooms.removeValue(forKey: number) ?? [] {
        box.put(())
        box.finish()
      }
    case .closed(let number):
      if let channel = channels.removeValue(forKey: number) {
        numbers[channel.key] = nil
        channel.didClose()
      }
      for box in rooms.removeValue(forKey: number) ?? [] { box.finish() }
    case .connected, .ended: break
    }
  }

  func sessionDidWake(_ session: PeerSession) {
    for socket in sockets { socket.timeout(now: context.now) }
    for (index, receiver) in receivers {
      guard let transceiver = transceiver(receiving: session.media.incoming.streams[index]) else { continue }
      receiver.timeout(into: transceiver, now: context.now)
    }
    finishGathering()
  }

  func sessionDidReceiveBatch(_ session: PeerSession) {
    let pacing = [sendHeld()].compactMap(\.self)
    session.ownDeadline = (sockets.compactMap(\.deadline) + receivers.values.compactMap(\.deadline) + pacing).min()
  }
}

extension PeerConnection.ConnectionState {
  init(_ state: PeerTransport.State) {
    self =
      switch state {
      case .new: .new
      case .connecting: .connecting
      case .connected: .connected
      case .disconnected: .disconnected
      case .failed: .failed
      case .closed: .closed
      }
  }
}

internal import MartletCodecs
internal import MartletCrypto
internal import MartletICE
internal import MartletIO
internal import MartletMedia
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRooms
internal import MartletRTP
internal import MartletSDP
internal import MartletWebRTC

/// A participant's media at the server: one connection, which carries what it publishes and what it watches.
///
/// The participant makes all offers, so offers never meet. What it publishes are the streams `rooms/ROOM/PARTICIPANT` and, of its screen,
/// `rooms/ROOM/PARTICIPANT/screen`, as any other publisher's; what it watches is forwarded from such streams, packet by packet.
internal final class RoomPeer: WebRTCMediaSession, PeerSessionHandler, StreamForwardingOwner, PacketPublishingOwner {
  internal let id: String
  internal let peer: PeerSession
  internal let resource: String
  internal let client: ClientInfo
  internal let room: RoomName
  internal let participant: ParticipantID
  internal let key: ParticipantKey
  internal var etag: String { "\"\(peer.transport.localCredentials.fragment)\"" }
  internal var outgoingCodecs: [Codec?] { peer.media.outgoing.indices.map { forwarding(of: $0).flatMap { $0.0.codecs[$0.1] } } }
  internal var leftOut: Int { forwardings.values.reduce(0) { $0 + $1.leftOut } }
  private let mayPublish: Bool
  /// What of it is not passed on, by a moderator: of what it begins to publish.
  internal var silenced: Set<TrackSource>
  internal let listener: WebRTCListener
  private let admission: Admission
  private var negotiation: PeerNegotiation
  internal private(set) var offer: RoomOffer?
  internal private(set) var sections: [IncomingSection] = []
  private var publishings: [StreamPath: PacketPublishing] = [:]
  /// Sections that a publication has already, by their index.
  private var published: Set<Int> = []
  internal private(set) var forwardings: [StreamPath: StreamForwarding] = [:]
  /// Places among `PeerMedia.outgoing`, by `mid`.
  internal private(set) var outgoing: [String: Int] = [:]
  /// What is watched in each of these places.
  internal var subscriptions: [Int: RoomOffer.Subscription] {
    Dictionary(offer?.subscriptions.compactMap { mid, wanted in outgoing[mid].map { ($0, wanted) } } ?? []) { first, _ in first }
  }
  internal var speech = SpeechDetector()
  /// How it looks at what it watches.
  internal var view: RoomView? { didSet { nextChoice = .zero } }
  /// Who spoke in the room, the last one first.
  internal var speakers: [ParticipantID] = [] { didSet { nextChoice = .zero } }
  /// What the participant was told of the watching of its pictures.
  private var told: [TrackWish] = []
  internal var nextChoice = Instant.zero
  private var isEnded = false

  /// Who it is, as the room's home knows.
  internal struct Identity: Sendable {
    let room: RoomName
    let participant: ParticipantID
    let key: ParticipantKey
    let mayPublish: Bool
    /// By a moderator.
    let silenced: Set<TrackSource>
  }

  internal init?(_ identity: Identity, client: ClientInfo, listener: WebRTCListener, admission: Admission) {
    guard let socket = listener.socket, let transport = listener.makeTransport() else { return nil }
    id = listener.makeID()
    (room, participant, key, mayPublish) = (identity.room, identity.participant, identity.key, identity.mayPublish)
    silenced = identity.silenced
    self.client = client
    self.listener = listener
    self.admission = admission
    resource = "/\(client.path)/\(id)"
    let local = LocalTransport(
      credentials: transport.localCredentials, fingerprints: [listener.identity.fingerprint], isLite: true)
    negotiation = PeerNegotiation(Self.configuration, local: local, random: listener.random)
    for candidate in transport.localCandidates { negotiation.addLocalCandidate(candidate) }
    negotiation.endOfLocalCandidates()
    let media = PeerMedia([], [], reporter: UInt32.random(in: 1...UInt32.max, using: &listener.random), cname: SessionAnswer.cname)
    peer = PeerSession(transport, media, clock: listener.clock, in: listener.context)
    peer.attach(to: socket)
    peer.handler = self
  }

  private static let configuration: NegotiationConfiguration = {
    var configuration = NegotiationConfiguration()
    configuration.audioCodecs = CodecPreferences.roomAudioSent
    configuration.videoCodecs = CodecPreferences.roomVideoSent
    configuration.codecOrder = .answerer
    configuration.answeredSetup = .passive
    configuration.cname = SessionAnswer.cname
    configuration.limits.sections = RoomOffer.maximumSections
    return configuration
  }()

  internal var context: LoopContext { listener.context }

  // MARK: Negotiation

  /// What is sent and watched from now on.
  internal func answer(_ offer: RoomOffer) throws(RoomError) -> String {
    let description: SessionDescription
    do throws(SDPError) { description = try SessionDescription(offer.sdp) } catch { throw .badCommand("the offer: \(error)") }
    let before = self.offer
    self.offer = offer
    do throws(NegotiationError) { try negotiate(description, offer) } catch {
      self.offer = before
      if negotiation.signalingState == .haveRemoteOffer { try? negotiation.setRemoteDescription(.rollback) }
      while negotiation.pollEvent() != nil {}
      throw .badCommand("the offer: \(error)")
    }
    while let event = negotiation.pollEvent() { act(on: event) }
    peer.settle()
    guard let text = negotiation.localDescription?.write(), !isEnded else { throw .noMedia("the connection could not be made") }
    return text
  }

  private func negotiate(_ description: SessionDescription, _ offer: RoomOffer) throws(NegotiationError) {
    try negotiation.setRemoteDescription(.offer, description)
    for transceiver in negotiation.transceivers {
      guard let mid = transceiver.mid else { continue }
      let direction = MediaDirection(
        sends: offer.subscriptions[mid] != nil, receives: mayPublish && offer.tracks[mid] != nil && offer.subscriptions[mid] == nil)
      try negotiation.setDirection(transceiver.id, direction)
      let isSound = transceiver.kind == .audio
      let taken = isSound ? CodecPreferences.incomingAudio : CodecPreferences.roomVideo
      let sent = isSound ? CodecPreferences.roomAudioSent : CodecPreferences.roomVideoSent
      try negotiation.setCodecPreferences(transceiver.id, direction.sends ? sent : taken)
    }
    try negotiation.setLocalDescription(.answer, try negotiation.createAnswer())
  }

  private func act(on event: NegotiationEvent) {
    let now = context.now
    switch event {
    case .restartICE(let credentials): peer.transport.restartICE(with: credentials, now: now)
    case .connect(let remote):
      do throws(ICEError) { try peer.transport.follow(remote, now: now) } catch { end("\(error)") }
    // A lite agent does not look for a way to them; they tell people how the peer thinks it can be reached.
    case .remoteCandidate(let candidate): do throws(ICEError) { try peer.transport.addRemote(candidate, now: now) } catch {}
    case .endOfRemoteCandidates: peer.transport.endOfRemoteCandidates(now: now)
    case .media(let media): apply(media)
    case .signalingStateChanged, .negotiationNeeded, .dataChannels, .track, .streamsChanged, .trackRemoved, .rejected: break
    }
  }

  private func apply(_ media: NegotiatedMedia) {
    sections = media.incoming
    peer.media.incoming.update(media.incoming)
    publish()
    guard peer.state == .connected else { return forward(media.outgoing) }
    // Where packets flow already they would overtake the answer, and Firefox takes those of a source that it does not know yet for
    // another section's, for good.
    context.schedule(after: Self.answerTime) { [weak self] in
      guard let self, !self.isEnded else { return }
      self.forward(media.outgoing)
    }
  }

  /// That an answer has to come, and to be taken.
  private static let answerTime = TimeSpan.milliseconds(500)

  // MARK: What it publishes

  private func path(of participant: ParticipantID, _ source: TrackSource) -> StreamPath? {
    try? StreamPath("\(room.chat)/\(participant)\(source.isOfScreen ? "/screen" : "")")
  }

  private func publish() {
    guard let offer else { return }
    var present: [StreamPath: [(index: Int, section: IncomingSection)]] = [:]
    var tracks: [RoomTrack] = []
    for (index, section) in sections.enumerated() where section.codecs.contains(where: \.isPrimary) {
      guard let source = offer.tracks[section.mid], let path = path(of: participant, source) else { continue }
      present[path, default: []].append((index, section))
      tracks.append(RoomTrack(source, layers: section.rids))
    }
    for path in Array(publishings.keys) where present[path] == nil { unpublish(path) }
    for (path, sections) in present { publish(path, sections) }
    let room = room
    context.service(RoomHub.self).perform(.tracks(participant, tracks), in: room) { _ in }
    tellWanted()
  }

  internal func publishingWantsOthers(_ publishing: PacketPublishing) { tellWanted() }

  /// Which of its layers somebody watches. It makes all of them until it is told otherwise.
  private func tellWanted() {
    guard let offer else { return }
    let wishes = publishings.values.flatMap(\.wanted).compactMap { wish -> TrackWish? in
      guard sections.indices.contains(wish.section), let source = offer.tracks[sections[wish.section].mid] else { return nil }
      return TrackWish(source, isWanted: wish.isWanted, layers: wish.layers)
    }.sorted { $0.source.rawValue < $1.source.rawValue }
    guard wishes != told else { return }
    told = wishes
    let (participant, room, id) = (participant, room, id)
    context.service(RoomHub.self).perform(.wanted(participant, wishes, session: id), in: room) { _ in }
  }

  private func publish(_ path: StreamPath, _ sections: [(index: Int, section: IncomingSection)]) {
    let fresh = sections.filter { !published.contains($0.index) }
    if let publishing = publishings[path] {
      publishing.add(fresh)
      published.formUnion(fresh.map(\.index))
      return
    }
    let client = makeClient(.publisher, path)
    do throws(PublishError) {
      publishings[path] = try PacketPublishing(
        sections, of: peer, as: client, listener: listener, hub: admission.hub, owner: self)
      published.formUnion(sections.map(\.index))
      admission.access.sessionDidBegin(client)
    } catch { context.log(.warning, "rooms", "\(path): \(error)", ["client": client.id]) }
  }

  private func unpublish(_ path: StreamPath) {
    guard let publishing = publishings.removeValue(forKey: path) else { return }
    publishing.finish()
    admission.access.sessionDidEnd(publishing.client)
  }

  private func makeClient(_ role: ClientInfo.Role, _ path: StreamPath) -> ClientInfo {
    var made = ClientInfo(
      id: admission.hub.nextClientID(), role: role, transport: "room", path: path, remote: client.remote, since: context.wallTime,
      user: client.user, userAgent: client.userAgent)
    made.tokenID = client.tokenID
    made.isParticipant = role == .publisher
    made.silenced = TrackSource.kinds(silenced, ofScreen: path.participant == nil)
    return made
  }

  internal func session(_ session: PeerSession, didReceive packet: IncomingMedia.Packet, in buffer: UnsafeRawBufferPointer) {
    if let level = packet.audioLevel, speech.receive(level, now: context.now) { tellSpeech() }
    for publishing in publishings.values where publishing.receive(packet, in: buffer) { return }
  }

  internal func publishing(_ publishing: PacketPublishing, wasRevoked reason: KickReason) { end("\(reason)") }

  internal func tellSpeech() {
    let (participant, room, loudness) = (participant, room, speech.isSpeaking ? Int(speech.loudness) : nil)
    context.service(RoomHub.self).perform(.speech(participant, loudness: loudness), in: room) { _ in }
  }

  // MARK: What it watches; RoomPeer+Layers.swift chooses how much of it

  private func forward(_ media: [OutgoingSection]) {
    guard let offer else { return }
    let mode = peer.media.congestion?.mode ?? CongestionMode(media.map(\.extensions))
    if !media.isEmpty, peer.media.congestion == nil { peer.media.congestion = CongestionControl(mode) }
    var senders: [StreamPath: [StreamForwarding.Sender]] = [:]
    for section in media {
      guard let wanted = offer.subscriptions[section.mid], let path = path(of: wanted.participant, wanted.source),
        let index = place(of: section, mode)
      else { continue }
      let forwarded = ForwardedSection(kind: section.kind == .audio ? .audio : .video, codecs: section.codecs)
      senders[path, default: []].append(StreamForwarding.Sender(forwarded, outgoing: index))
    }
    for (path, forwarding) in forwardings where senders[path] == nil {
      forwarding.end()
      forwardings[path] = nil
    }
    for (path, senders) in senders {
      if let forwarding = forwardings[path] { forwarding.setSenders(senders) } else { forward(path, senders) }
    }
  }

  private func forward(_ path: StreamPath, _ senders: [StreamForwarding.Sender]) {
    let ring = admission.hub.packetRing(PacketKey(path))
    let reader = PacketReader(ring: ring, client: makeClient(.viewer, path))
    forwardings[path] = StreamForwarding(reader, to: peer, senders, hub: admission.hub, in: context, owner: self)
    ring.add(reader)
  }

  /// The track of a section; a section that is used again keeps its own.
  private func place(of section: OutgoingSection, _ mode: CongestionMode) -> Int? {
    if let index = outgoing[section.mid] { return index }
    guard let encoding = section.encodings.first else { return nil }
    var parameters = encoding.parameters
    parameters.stampID = section.extensions.stampID(for: mode)
    peer.media.outgoing.append(OutgoingTrack(parameters, random: &listener.random))
    peer.publisherClocks.append(nil)
    let index = peer.media.outgoing.count - 1
    outgoing[section.mid] = index
    return index
  }

  private func forwarding(of outgoing: Int) -> (StreamForwarding, Int)? {
    for forwarding in forwardings.values {
      if let index = forwarding.senders.firstIndex(where: { $0.outgoing == outgoing }) { return (forwarding, index) }
    }
    return nil
  }

  internal func session(_ session: PeerSession, didReceive event: PeerMedia.Event) {
    switch event {
    case .missing(let track, let lost): if let (forwarding, index) = forwarding(of: track) { forwarding.retransmit(index, lost) }
    case .keyFrameRequested(let track): if let (forwarding, index) = forwarding(of: track) { forwarding.needsKeyFrame(index) }
    case .goodbye: break
    }
  }

  /// Its publisher may come back: what is watched is a place, not a connection.
  internal func forwarding(_ forwarding: StreamForwarding, didEnd reason: String) {}

  // MARK: Life

  internal func sessionDidReceiveBatch(_ session: PeerSession) {
    for publishing in publishings.values { publishing.didReceiveBatch() }
    if context.now >= nextChoice { chooseLayers(context.now) }
    for forwarding in forwardings.values { forwarding.peerDidReceiveBatch() }
    session.ownDeadline = publishings.values.reduce(nil) { .earliest($0, $1.deadline) }
  }

  internal func sessionDidWake(_ session: PeerSession) { for publishing in publishings.values { publishing.timeout() } }

  internal func session(_ session: PeerSession, didChange state: PeerTransport.State) {
    switch state {
    case .connected:
      listener.didConnect(self)
      for forwarding in forwardings.values { forwarding.forward() }
    case .failed:
      listener.didFail(self)
      end(session.transport.failure ?? "failed")
    case .closed: end("closed by the participant")
    case .new, .connecting, .disconnected: break
    }
  }

  internal func end(_ reason: String) {
    guard !isEnded else { return }
    isEnded = true
    context.log(.info, "rooms", "\(room): the media of \(participant) ends: \(reason)", ["client": client.id])
    for path in Array(publishings.keys) { unpublish(path) }
    for forwarding in forwardings.values { forwarding.end() }
    forwardings = [:]
    negotiation.close()
    peer.close()
    listener.didEnd(self)
    context.service(RoomMedia.self).didEnd(self)
    let (participant, room) = (participant, room)
    context.service(RoomHub.self).perform(.tracks(participant, []), in: room) { _ in }
  }
}

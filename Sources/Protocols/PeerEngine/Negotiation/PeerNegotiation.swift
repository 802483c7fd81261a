package import MartletCrypto
internal import MartletICE
package import MartletPrimitives
package import MartletSDP

/// What an RTCPeerConnection negotiates (RFC 8829, W3C WebRTC §4): transceivers, offers, answers, and the state between them, with no
/// network. One transport carries everything (BUNDLE, rtcp-mux); what a peer offers outside of it is rejected.
///
/// Calls either throw and change nothing, or succeed; then the driver drains `pollEvent` and does what it is told, in that order.
///
///     let offer = try negotiation.createOffer()
///     try negotiation.setLocalDescription(.offer, offer)
///     … signaling …
///     try negotiation.setRemoteDescription(.answer, answer)
///     while let event = negotiation.pollEvent() { … }
package struct PeerNegotiation: Sendable {
  package let configuration: NegotiationConfiguration
  package internal(set) var signalingState = SignalingState.stable
  /// In the order in which they came to be, without those that have stopped.
  package internal(set) var transceivers: [Transceiver] = []
  /// Whether the session differs from what was agreed on (W3C WebRTC §4.7.3). `negotiationNeeded` tells when it becomes true.
  package internal(set) var needsNegotiation = false
  /// Of this end; `nil` until the first answer.
  package internal(set) var dtlsRole: DTLSEngine.Role?
  /// Names our sources.
  package let cname: String

  var descriptions = NegotiationDescriptions()
  /// In use; a restart changes the credentials.
  var local: LocalTransport
  /// The transport of the last stable state, where a rollback leads.
  var settledTransport: (local: ICECredentials, remote: RemoteTransport?)
  /// What an ICE restart that was asked for has to replace: [[LocalIceCredentialsToReplace]].
  var credentialsToReplace: ICECredentials?
  /// What the driver was told of the peer for the credentials of ours in use.
  var connected: RemoteTransport?
  /// Of this end; set by the first offer that is answered.
  var iceRole: ICERole?
  var localCandidates: [ICECandidate] = []
  var hasAllLocalCandidates = false
  var usesDataChannels = false
  /// What the driver was told of them.
  var dataChannels: DataChannelParameters?
  var lastOffer: CreatedDescription?, lastAnswer: CreatedDescription?
  var random: RandomSource
  private let sessionID: UInt64
  private var sessionVersion: UInt64 = 0
  private var nextID: UInt32 = 0
  private var nextMid: UInt32 = 0
  private var events = Deque<NegotiationEvent>()

  /// - Parameter local: credentials, certificates and kind of the transport that will be used.
  package init(_ configuration: NegotiationConfiguration = NegotiationConfiguration(), local: LocalTransport, random: RandomSource) {
    self.configuration = configuration
    self.local = local
    settledTransport = (local.credentials, nil)
    var random = random
    sessionID = random.next() >> 2
    let drawn = random.text(16)
    cname = configuration.cname ?? drawn
    self.random = random
  }

  // MARK: What to read

  package func transceiver(_ id: Transceiver.ID) -> Transceiver? { transceivers.first { $0.id == id } }
  package func transceiver(mid: String) -> Transceiver? { transceivers.first { $0.mid == mid } }

  /// With the candidates known by now.
  package var localDescription: SessionDescription? { pendingLocalDescription ?? currentLocalDescription }
  package var currentLocalDescription: SessionDescription? { descriptions.currentLocal.map { withCandidates($0.session) } }
  package var pendingLocalDescription: SessionDescription? { descriptions.pendingLocal.map { withCandidates($0.session) } }
  package var remoteDescription: SessionDescription? { descriptions.remote?.session }
  package var currentRemoteDescription: SessionDescription? { descriptions.currentRemote?.session }
  package var pendingRemoteDescription: SessionDescription? { descriptions.pendingRemote?.session }

  /// What can be negotiated for a kind of track, for `setCodecPreferences`.
  package func capabilities(_ kind: TrackKind) -> [RTPCodec] { configuration.codecs(kind) }

  // MARK: What to drain

  package mutating func pollEvent() -> NegotiationEvent? {
    let next = events.popFirst()
    if next == nil { events.removeAll() }
    return next
  }

  /// Nothing is negotiated any more.
  package mutating func close() {
    signalingState = .closed
    transceivers = []
    needsNegotiation = false
    events.removeAll()
  }

  // MARK: Inside

  mutating func raise(_ event: NegotiationEvent) { events.append(event) }

  func requireOpen(_ call: String) throws(NegotiationError) {
    guard signalingState != .closed else { throw .invalidState(call, signalingState) }
  }

  /// Answers the place of a transceiver among `transceivers`.
  func index(_ id: Transceiver.ID) throws(NegotiationError) -> Int {
    guard let index = transceivers.firstIndex(where: { $0.id == id }) else {
      throw .invalidAccess("no such transceiver, or one that has stopped")
    }
    return index
  }

  mutating func add(
    _ kind: TrackKind, _ direction: MediaDirection, _ sender: TrackSender, isFromOffer: Bool, isForTrack: Bool
  ) -> Transceiver.ID {
    let id = Transceiver.ID(rawValue: nextID)
    nextID += 1
    transceivers.append(
      Transceiver(id: id, kind: kind, direction: direction, sender: sender, isFromOffer: isFromOffer, isForTrack: isForTrack))
    return id
  }

  /// A mid that nobody uses; short, since every packet carries it.
  mutating func makeMid() -> String {
    let known = [descriptions.local, descriptions.remote, descriptions.currentLocal, descriptions.currentRemote]
    while true {
      let mid = String(nextMid)
      nextMid += 1
      if !known.contains(where: { $0?.session.section(mid: mid) != nil }) { return mid }
    }
  }

  /// A source of ours that is not in use.
  mutating func makeSource() -> UInt32 {
    while true {
      let ssrc = UInt32.random(in: 1...UInt32.max, using: &random)
      let isTaken = transceivers.contains { $0.sender.encodings.contains { $0.ssrc == ssrc || $0.rtx == ssrc } }
      if !isTaken { return ssrc }
    }
  }

  mutating func makeEncoding(rid: String? = nil) -> SendEncoding {
    SendEncoding(rid: rid, ssrc: makeSource(), rtx: makeSource(), fec: makeSource())
  }

  /// RFC 8829 §5.2.2: the version grows with each description.
  mutating func makeOrigin() -> SessionDescription.Origin {
    sessionVersion += 1
    return SessionDescription.Origin(sessionID: sessionID, sessionVersion: sessionVersion)
  }

  mutating func makeCredentials() -> ICECredentials { ICECredentials(prefix: configuration.fragmentPrefix, random: &random) }
}

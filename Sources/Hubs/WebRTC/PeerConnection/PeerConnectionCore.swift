internal import MartletCrypto
internal import MartletICE
internal import MartletIO
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletSCTP
internal import MartletSDP

/// A peer connection where it lives: negotiation, the session, and the sockets it gathered.
final class PeerConnectionCore {
  let id: UInt64
  let session: PeerSession
  var watchers: [PeerBox<PeerConnection.ConnectionState>] = []
  var failure: String?
  let configuration: PeerConnection.Configuration
  let events: PeerSequence<PeerConnection.Event>
  unowned let residents: PeerResidents
  let context: LoopContext
  var negotiation: PeerNegotiation
  var random = RandomSource.system
  let fingerprint: CertificateFingerprint
  private let servers: ICEServers
  lazy var gatherer = CandidateGatherer(configuration, servers, session, self)
  private var mustGather = true
  /// Of the peer, before its description.
  var waitingCandidates: [PeerConnection.Candidate] = []
  /// By their numbers on the wire.
  var channels: [UInt16: DataChannel] = [:]
  var numbers: [UInt64: UInt16] = [:]
  /// Wanted before the answer, in order: the DTLS role decides the numbers (RFC 8832 §6).
  var early: [(channel: DataChannel, options: DataChannelOptions)] = []
  var nextChannel: UInt64 = 1
  var hasDataChannels = false
  var rooms: [UInt16: [PeerBox<Void>]] = [:]
  var localKind = PeerConnection.SessionDescription.Kind.offer
  var transceivers: [UInt32: MediaTransceiver] = [:]
  var senders: [UInt32: TrackSending] = [:]
  /// Transceivers whose silence is told and not sent.
  var quieted: Set<UInt32> = []
  var receivers: [Int: TrackReceiving] = [:]
  /// Transceivers on which something has come.
  var flowing: Set<UInt32> = []
  var sections: [IncomingSection] = []

  /// Messages that wait to be read before the peer is stopped, and candidates that wait for a description.
  static let maximumWaiting = 100
  /// Of this end: those of UDP and TCP of each address, what servers see of them, and relays.
  private static let maximumCandidates = 96

  init(
    _ id: UInt64, _ configuration: PeerConnection.Configuration, _ servers: ICEServers,
    _ events: PeerSequence<PeerConnection.Event>, _ residents: PeerResidents
  ) {
    self.id = id
    self.configuration = configuration
    self.servers = servers
    self.events = events
    self.residents = residents
    context = residents.context
    let identity = try? residents.identity()
    var ice = ICEConfiguration()
    ice.role = .controlling
    ice.limits.localCandidates = Self.maximumCandidates
    guard let identity else { preconditionFailure("OpenSSL makes a certificate") }
    fingerprint = identity.fingerprint
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

  /// Tells `box` the state as it is now and whenever it changes.
  func tellState(_ box: PeerBox<PeerConnection.ConnectionState>) {
    box.put(connectionState)
    watchers.append(box)
  }

  // MARK: Negotiation

  func negotiate<R>(_ body: (inout PeerNegotiation) throws(NegotiationError) -> R) throws(PeerError) -> R {
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

  func parse(_ description: PeerConnection.SessionDescription) throws(PeerError) -> (SDPType, MartletSDP.SessionDescription?) {
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
    // Some peers say only the index, and an empty mid beside it.
    let mid = candidate.mid.flatMap { $0.isEmpty ? nil : $0 }
    try negotiate { negotiation throws(NegotiationError) in
      try negotiation.addRemoteCandidate(candidate.candidate, mid: mid, section: candidate.lineIndex)
    }
    session.settle()
  }

  /// Does what the negotiation says, in its order.
  func drain() {
    while let event = negotiation.pollEvent() { act(on: event) }
  }

  func act(on event: NegotiationEvent) {
    let now = context.now
    switch event {
    case .signalingStateChanged: events.box.put(.signalingState(signalingState))
    case .negotiationNeeded: events.box.put(.negotiationNeeded)
    case .restartICE(let credentials):
      session.transport.restartICE(with: credentials, now: now)
      mustGather = true
    case .connect(let remote):
      do throws(ICEError) { try session.transport.follow(remote, now: now) } catch { fail("\(error)") }
    // One that cannot be used is no reason to fail.
    case .remoteCandidate(let candidate): addRemote(candidate)
    case .endOfRemoteCandidates: session.transport.endOfRemoteCandidates(now: now)
    case .media(let media): apply(media)
    case .dataChannels(let parameters): openDataChannels(parameters)
    case .track(let id): if let transceiver = transceiver(id.rawValue) { events.box.put(.track(transceiver)) }
    case .streamsChanged, .trackRemoved, .rejected: break
    }
  }

  func addRemote(_ candidate: ICECandidate) {
    if let ip = candidate.address?.ip { gatherer.didLearnOfPeer(at: ip) }
    do throws(ICEError) { try session.transport.addRemote(candidate, now: context.now) } catch {}
  }

  func fail(_ reason: String) { if failure == nil { failure = reason } }

  // MARK: Gathering

  private func gather() {
    guard mustGather else { return }
    mustGather = false
    negotiation.beginLocalCandidates()
    gatherer.gather()
  }

  func didGather(_ candidate: ICECandidate) {
    negotiation.addLocalCandidate(candidate)
    events.box.put(.candidate(PeerConnection.Candidate("\(candidate)", mid: negotiation.localDescription?.media.first?.mid, lineIndex: 0)))
  }

  func didGatherAll() {
    negotiation.endOfLocalCandidates()
    session.transport.endOfLocalCandidates(now: context.now)
    events.box.put(.candidate(nil))
  }

  func didFail(_ error: PeerConnection.CandidateError) { events.box.put(.candidateError(error)) }

  /// An allocation is gone.
  func didLose(_ base: ICEBase) {
    negotiation.removeLocalCandidates(at: base.address)
    session.transport.removeLocal(base, now: context.now)
  }

  // MARK: The end

  func close() {
    guard residents.connections.removeValue(forKey: id) != nil else { return }
    negotiation.close()
    session.close()
    gatherer.close()
    for watcher in watchers {
      watcher.put(.closed)
      watcher.finish()
    }
    events.box.put(.connectionState(.closed))
    events.box.finish()
    for channel in Array(channels.values) + early.map(\.channel) { channel.didClose() }
    for boxes in rooms.values { for box in boxes { box.finish() } }
    for transceiver in transceivers.values { transceiver.finish() }
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

package import MartletCrypto
package import MartletICE
package import MartletPrimitives
package import MartletRTP

/// What all media and data of a peer connection travel over (BUNDLE leaves one): ICE finds the path, DTLS authenticates the peer and
/// makes keys, SRTP and DTLS records carry the rest. Datagrams are told apart by their first byte (RFC 7983).
///
///     new ── connect ──▶ connecting ── ICE has a path, DTLS the right certificate ──▶ connected ◀──▶ disconnected
///                            └─────────────── either fails ──▶ failed ◀── consent is lost ──┘
///
/// Bytes and time go in; decrypted packets come out of the very call, everything else out of `pollTransmit`, `takeRecords` and
/// `pollEvent`, which the driver drains after each call.
package final class PeerTransport {
  package enum State: Equatable, Sendable { case new, connecting, connected, disconnected, failed, closed }

  package enum Event: Equatable, Sendable {
    case stateChanged(State)
    case ice(ICEEvent)
  }

  /// What a datagram was. RTP and RTCP lie decrypted at the start of the buffer they came in.
  package enum Received: Equatable, Sendable {
    case nothing
    case rtp(count: Int)
    case rtcp(count: Int)
    /// Application data, in `PeerTransport.records`.
    case records
  }

  /// Datagrams that were not taken, by reason.
  package struct Drops: Equatable, Sendable {
    /// No STUN, DTLS, RTP or RTCP by its first byte.
    package var unknown = 0
    /// STUN that the agent refused; `ICEAgent.drops` tells why.
    package var stun = 0
    /// DTLS from an address that has passed no check.
    package var unvalidated = 0
    /// SRTP before there are keys.
    package var early = 0
    /// SRTP that is not authentic, or was here before.
    package var srtp = 0
  }

  /// How long ICE and DTLS may take together.
  package static let connectTimeout = TimeSpan.seconds(30)

  // What every packet that leaves is led by comes first, side by side.
  /// Whether media may be sent now: there are keys, and the peer consents.
  package private(set) var canSend = false
  /// Room that `protect` needs beyond header and payload.
  package private(set) var rtpOverhead = 0
  private var sender: SRTPSender?
  package private(set) var state = State.new
  /// Why it failed, for a person.
  package private(set) var failure: String?
  package private(set) var drops = Drops()
  /// Application data of the datagram last received; emptied by the driver.
  package var records = DatagramBatch()
  package private(set) var dtls: DTLSEngine?
  package private(set) var srtpProfile: SRTPProfile?

  private var agent: ICEAgent
  private let identity: DTLSIdentity
  private let mtu: Int
  private var role: DTLSEngine.Role?
  private var fingerprints: [CertificateFingerprint] = []
  private var receiver: SRTPReceiver?
  private var events = Deque<Event>()
  /// Where the peer's last handshake datagram came from, as long as no pair is selected.
  private var handshakePath: (base: ICEBase, remote: SocketAddress)?
  private var startedAt: Instant?

  package init(_ ice: ICEConfiguration, identity: DTLSIdentity, mtu: Int = DTLSEngine.defaultMTU, random: RandomSource) {
    agent = ICEAgent(ice, random: random)
    self.identity = identity
    self.mtu = mtu
  }

  // MARK: ICE

  package var localCredentials: ICECredentials { agent.localCredentials }
  package var localCandidates: [ICECandidate] { agent.localCandidates }
  package var selectedPair: ICESelectedPair? { agent.selectedPair }
  package var iceState: ICEState { agent.state }
  package var iceRole: ICERole { agent.role }
  package var iceDrops: ICEDrops { agent.drops }
  package var pairs: [ICEPairReport] { agent.pairs }
  package var trace: [ICETraceEntry] { agent.trace }
  package var remoteCredentials: ICECredentials? { agent.remoteCredentials }
  package var remoteCandidates: [ICECandidate] { agent.remoteCandidates }

  /// Whether the peer has shown that it is at this address.
  package func isValidated(_ base: ICEBase, _ remote: SocketAddress) -> Bool { agent.isValidated(base, remote) }

  @discardableResult package func addLocal(
    _ type: ICECandidateType, _ address: SocketAddress, base: ICEBase, server: IPAddress? = nil, related: SocketAddress? = nil,
    tcpType: ICETCPType? = nil, preference: UInt16 = .max, now: Instant
  ) -> ICECandidate? {
    agent.addLocal(
      type, address, base: base, server: server, related: related, tcpType: tcpType, preference: preference, now: now)
  }

  /// A socket or an allocation is gone.
  package func removeLocal(_ base: ICEBase, now: Instant) {
    agent.removeLocal(base, now: now)
    settle(now: now)
  }

  package func endOfLocalCandidates(now: Instant) {
    agent.endOfLocalCandidates(now: now)
    settle(now: now)
  }

  package func addRemote(_ candidate: ICECandidate, now: Instant) throws(ICEError) {
    defer { settle(now: now) }
    try agent.addRemote(candidate, now: now)
  }

  package func endOfRemoteCandidates(now: Instant) {
    agent.endOfRemoteCandidates(now: now)
    settle(now: now)
  }

  package func connected(_ base: ICEBase, to remote: SocketAddress, now: Instant) {
    agent.connected(base, to: remote, now: now)
    settle(now: now)
  }

  package func unreachable(_ base: ICEBase, to remote: SocketAddress, now: Instant) {
    agent.unreachable(base, to: remote, now: now)
    settle(now: now)
  }

  /// New credentials of ours, to be signalled; the path in use stays until its successor is found. DTLS is not begun anew.
  @discardableResult package func restartICE(with credentials: ICECredentials? = nil, now: Instant) -> ICECredentials {
    let credentials = agent.restart(with: credentials, now: now)
    if state == .failed { move(to: .connecting) }
    startedAt = now
    settle(now: now)
    return credentials
  }

  // MARK: Connecting

  /// Begins with what the peer's description says.
  ///
  /// - Parameters:
  ///   - fingerprints: of the certificates that the peer may show (RFC 8122).
  ///   - role: of this end in DTLS (RFC 8842).
  ///   - iceRole: of this end in ICE; without, the configuration's.
  package func connect(
    to credentials: ICECredentials, isLite: Bool, fingerprints: [CertificateFingerprint], role: DTLSEngine.Role,
    iceRole: ICERole? = nil, now: Instant
  ) throws(ICEError) {
    guard state == .new else { throw .closed }
    if let iceRole { agent.takeRole(iceRole, now: now) }
    try agent.setRemote(credentials, isLite: isLite, now: now)
    self.role = role
    self.fingerprints = fingerprints
    startedAt = now
    move(to: .connecting)
    settle(now: now)
  }

  /// Goes on with the peer's new credentials after `restartICE`; what DTLS agreed on stays.
  package func reconnect(to credentials: ICECredentials, isLite: Bool = false, now: Instant) throws(ICEError) {
    try agent.setRemote(credentials, isLite: isLite, now: now)
    settle(now: now)
  }

  /// Begins, or goes on after a restart, with what a negotiation found out about the peer.
  package func follow(_ remote: RemoteTransport, now: Instant) throws(ICEError) {
    guard state == .new else { return try reconnect(to: remote.credentials, isLite: remote.isLite, now: now) }
    try connect(
      to: remote.credentials, isLite: remote.isLite, fingerprints: remote.fingerprints, role: remote.role, iceRole: remote.iceRole, now: now
    )
  }

  package func close(now: Instant) {
    guard state != .closed else { return }
    dtls?.close()
    // The alert still goes out by the pair that is selected.
    takeAlert()
    agent.close(now: now)
    canSend = false
    move(to: .closed)
  }

  /// A close_notify that waits, and where it goes.
  package private(set) var farewell: (path: ICESelectedPair, datagrams: DatagramBatch)?

  private func takeAlert() {
    guard let dtls, dtls.hasOutput, let pair = agent.selectedPair else { return }
    var batch = DatagramBatch()
    dtls.takeOutput(into: &batch)
    farewell = (pair, batch)
  }

  // MARK: Receiving

  /// One datagram, which is decrypted in place.
  package func receive(
    _ datagram: UnsafeMutableRawBufferPointer, from remote: SocketAddress, on base: ICEBase, now: Instant
  ) -> Received {
    guard let first = datagram.first, state != .closed else { return .nothing }
    switch first {
    case 128...191: return receiveSRTP(datagram, from: remote, on: base, now: now)
    case 20...63: return receiveDTLS(UnsafeRawBufferPointer(datagram).bytes, from: remote, on: base, now: now)
    case 0...3:
      do throws(ICEError) {
        try agent.receive(UnsafeRawBufferPointer(datagram).bytes, from: remote, on: base, now: now)
      } catch { drops.stun += 1 }
      settle(now: now)
    default: drops.unknown += 1
    }
    return .nothing
  }

  private func receiveSRTP(
    _ datagram: UnsafeMutableRawBufferPointer, from remote: SocketAddress, on base: ICEBase, now: Instant
  ) -> Received {
    guard receiver != nil else {
      drops.early += 1
      return .nothing
    }
    do throws(SRTPError) {
      let isControl = RTPHeader.isRTCP(UnsafeRawBufferPointer(datagram).bytes)
      let count = isControl ? try receiver?.unprotectControl(datagram) : try receiver?.unprotect(datagram)
      agent.noteReceived(on: base, from: remote, now: now)
      return isControl ? .rtcp(count: count ?? 0) : .rtp(count: count ?? 0)
    } catch {
      drops.srtp += 1
      return .nothing
    }
  }

  private func receiveDTLS(_ datagram: RawSpan, from remote: SocketAddress, on base: ICEBase, now: Instant) -> Received {
    // A handshake's answers are larger than its questions: they go to nobody who has passed no check.
    guard agent.isValidated(base, remote), let role else {
      drops.unvalidated += 1
      return .nothing
    }
    if dtls == nil, role == .server { begin(role) }
    guard let dtls else { return .nothing }
    if !agent.hasSelectedPair { handshakePath = (base, remote) }
    let before = records.count
    dtls.receive(datagram, into: &records)
    agent.noteReceived(on: base, from: remote, now: now)
    settle(now: now)
    return records.count > before ? .records : .nothing
  }

  private func begin(_ role: DTLSEngine.Role) {
    do throws(TLSError) {
      let engine = try DTLSEngine(role, identity, mtu: mtu)
      engine.expect(fingerprints)
      if role == .client { engine.start() }
      dtls = engine
    } catch { fail("DTLS: \(error)") }
  }

  // MARK: Sending

  package var rtcpOverhead: Int { srtpProfile?.rtcpOverhead ?? 0 }

  /// Encrypts an RTP packet to the start of `destination`; answers its size, `nil` when it cannot be sent.
  package func protect(header: RawSpan, payload: RawSpan, into destination: UnsafeMutableRawBufferPointer) -> Int? {
    do throws(SRTPError) { return try sender?.protect(header: header, payload: payload, into: destination) } catch { return nil }
  }

  /// The same for a retransmission in a stream of its own (RFC 4588).
  package func protect(
    header: RawSpan, originalSequenceNumber: UInt16, payload: RawSpan, into destination: UnsafeMutableRawBufferPointer
  ) -> Int? {
    do throws(SRTPError) {
      return try sender?.protect(header: header, originalSequenceNumber: originalSequenceNumber, payload: payload, into: destination)
    } catch { return nil }
  }

  package func protectControl(_ packet: RawSpan, into destination: UnsafeMutableRawBufferPointer) -> Int? {
    do throws(SRTPError) { return try sender?.protectControl(packet, into: destination) } catch { return nil }
  }

  /// Encrypts one record of application data; it waits in `takeRecords`.
  @discardableResult package func sendRecord(_ record: RawSpan) -> Bool { dtls?.send(record) ?? false }

  package func pollTransmit() -> ICETransmit? { agent.pollTransmit() }

  package var hasRecords: Bool { dtls?.hasOutput ?? false }

  /// Takes the DTLS datagrams that wait, for an empty batch, and answers where they go; `nil` when there are none, or no path.
  package func takeRecords(into batch: inout DatagramBatch) -> (base: ICEBase, remote: SocketAddress)? {
    guard let dtls, dtls.hasOutput else { return nil }
    let selected = agent.selectedPair.map { ($0.base, $0.remote) }
    guard let path = selected ?? handshakePath else { return nil }
    dtls.takeOutput(into: &batch)
    return path
  }

  package func pollEvent() -> Event? {
    let next = events.popFirst()
    if next == nil { events.removeAll() }
    return next
  }

  // MARK: Time

  package func deadline(now: Instant) -> Instant? {
    let limit = state == .connecting ? startedAt.map { $0 + Self.connectTimeout } : nil
    return .earliest(agent.deadline, .earliest(dtls?.deadline(now: now), limit))
  }

  package func timeout(now: Instant) {
    agent.timeout(now: now)
    if let dtls, agent.selectedPair != nil || handshakePath != nil { dtls.timeout() }
    if state == .connecting, let startedAt, now - startedAt >= Self.connectTimeout {
      fail(dtls == nil ? "no path to the peer within \(Self.connectTimeout.seconds) s" : "no DTLS within \(Self.connectTimeout.seconds) s")
    }
    settle(now: now)
  }

  // MARK: Becoming connected

  private func settle(now: Instant) {
    while let event = agent.pollEvent() {
      events.append(.ice(event))
      if case .selected = event { handshakePath = nil }
    }
    if dtls == nil, role == .client, agent.selectedPair != nil { begin(.client) }
    takeKeys()
    updateState()
    canSend = srtpProfile != nil && agent.hasSelectedPair
  }

  private func takeKeys() {
    guard let dtls, sender == nil, srtpProfile == nil, dtls.state == .connected, let number = dtls.srtpProfile,
      let profile = SRTPProfile(rawValue: number), let exported = dtls.exportSRTPKeys(SRTPKeyingMaterial.byteCount(profile))
    else { return }
    do throws(SRTPError) {
      let keys = try SRTPKeyingMaterial(profile, exported: exported)
      let isClient = role == .client
      sender = SRTPSender(profile, isClient ? keys.client : keys.server)
      receiver = SRTPReceiver(profile, isClient ? keys.server : keys.client)
      (srtpProfile, rtpOverhead) = (profile, profile.rtpOverhead)
    } catch { fail("SRTP: \(error)") }
  }

  private func updateState() {
    guard state != .closed, state != .failed else { return }
    switch dtls?.state {
    case .failed(let error): return fail("DTLS: \(error)")
    case .closed:
      failure = "closed by the peer"
      return move(to: .closed)
    default: break
    }
    switch (agent.state, dtls?.state) {
    case (.failed, _): fail(dtls?.state == .connected ? "the peer is gone" : "no candidate reaches the peer")
    case (.disconnected, .connected?): move(to: .disconnected)
    case (.connected, .connected?), (.completed, .connected?): move(to: .connected)
    default: break
    }
  }

  private func fail(_ reason: String) {
    guard state != .failed, state != .closed else { return }
    failure = reason
    move(to: .failed)
  }

  private func move(to next: State) {
    guard next != state else { return }
    state = next
    events.append(.stateChanged(next))
  }
}

import MartletWebRTC
import Testing

@Suite(.timeLimit(.minutes(5))) struct PeerConnectionTests {
  private static var local: PeerConnection.Configuration {
    var configuration = PeerConnection.Configuration()
    configuration.includesLoopback = true
    return configuration
  }

  /// Hands candidates over as they come, until the sequence ends.
  private static func signal(_ a: PeerConnection, to b: PeerConnection, also: @escaping @Sendable (PeerConnection.Event) async -> Void)
    async
  {
    for await event in a.events {
      if case .candidate(let candidate) = event { try? await b.add(candidate ?? .init("")) }
      await also(event)
    }
  }

  /// Offer and answer; candidates follow.
  private static func exchange(_ offerer: PeerConnection, _ answerer: PeerConnection) async throws {
    try await offerer.setLocalDescription()
    try await answerer.setRemoteDescription(try #require(await offerer.localDescription))
    try await answerer.setLocalDescription()
    try await offerer.setRemoteDescription(try #require(await answerer.localDescription))
  }

  @Test func `two connections of one program talk over a data channel, each in its order, and end together`() async throws {
    let (a, b) = (try PeerConnection(Self.local), try PeerConnection(Self.local))
    let channel = try await a.createDataChannel("chat")
    async let first: Void = Self.signal(a, to: b) { _ in }
    async let second: Void = Self.signal(b, to: a) { event in
      guard case .dataChannel(let channel) = event else { return }
      #expect(channel.label == "chat")
      Task {
        for await message in channel.messages { try await channel.send(message) }
      }
    }
    try await Self.exchange(a, b)
    try await a.waitUntilConnected()
    #expect(await channel.waitUntilOpen())
    // Who asks late hears it too.
    try await a.waitUntilConnected()
    for number in 0..<200 { try await channel.send("message \(number)") }
    try await channel.send([UInt8](repeating: 7, count: 100_000))
    var count = 0
    for await message in channel.messages {
      #expect(message == (count < 200 ? .text("message \(count)") : .binary([UInt8](repeating: 7, count: 100_000))))
      count += 1
      if count == 201 { break }
    }
    let statistics = await a.statistics
    #expect(statistics.messagesSent == 202 && statistics.srtpCipher != nil && statistics.remoteAddress != nil)
    let report = await a.report
    let pair = try #require(report.candidatePairs.first { $0.id == report.transport.selectedCandidatePairId })
    #expect(pair.nominated && pair.state == "succeeded" && pair.currentRoundTripTime != nil)
    #expect(report.localCandidates.contains { $0.id == pair.localCandidateId })
    #expect(report.remoteCandidates.contains { $0.id == pair.remoteCandidateId })
    #expect(report.dataChannels.map(\.label) == ["chat"] && report.certificateFingerprint.hasPrefix("sha-256 "))
    await a.close()
    _ = await first
    // The other end hears of it.
    _ = await second
    #expect(await b.connectionState == .closed)
  }

  // RFC 8831 §6.5.
  @Test func `a channel that both sides know by its number needs no more`() async throws {
    let (a, b) = (try PeerConnection(Self.local), try PeerConnection(Self.local))
    var options = DataChannel.Options()
    options.negotiatedID = 1
    let (left, right) = (try await a.createDataChannel("x", options), try await b.createDataChannel("x", options))
    async let first: Void = Self.signal(a, to: b) { _ in }
    async let second: Void = Self.signal(b, to: a) { _ in }
    try await Self.exchange(a, b)
    #expect(await left.waitUntilOpen())
    #expect(await right.waitUntilOpen())
    try await left.send("hello")
    try await right.send("hello too")
    var (heardLeft, heardRight) = (left.messages.makeAsyncIterator(), right.messages.makeAsyncIterator())
    #expect(await heardLeft.next() == .text("hello too"))
    #expect(await heardRight.next() == .text("hello"))
    await a.close()
    await b.close()
    _ = await (first, second)
  }

  @Test func `video frames arrive whole, and a session of data alone becomes one with media without a new transport`() async throws {
    let (a, b) = (try PeerConnection(Self.local), try PeerConnection(Self.local))
    let channel = try await a.createDataChannel("first")
    let received = PeerTracks()
    async let first: Void = Self.signal(a, to: b) { _ in }
    async let second: Void = Self.signal(b, to: a) { event in
      if case .track(let transceiver) = event { await received.add(transceiver) }
    }
    try await Self.exchange(a, b)
    try await a.waitUntilConnected()
    #expect(await channel.waitUntilOpen())
    let before = await a.statistics.remoteAddress
    let video = try await a.addTransceiver(.video, .sendonly)
    try await Self.exchange(a, b)
    let codec = try #require(await video.codecs.first)
    let incoming = try await received.next()
    let frames = (0..<30).map { index -> [UInt8] in
      // A VP8 key frame begins with an even byte; an H.264 access unit is NAL units behind their lengths, parameter sets first.
      let body = [UInt8](repeating: UInt8(index), count: 3000 + index)
      let size = UInt16(body.count + 1)
      return codec.name == "VP8"
        ? [0x10] + body : [0, 0, 0, 4, 0x67, 0x42, 0, 0x1f, 0, 0, UInt8(size >> 8), UInt8(truncatingIfNeeded: size), 0x65] + body
    }
    let sending = Task {
      for (index, data) in frames.enumerated() {
        try await video.send(.init(timestamp: UInt32(index * 3000), isKeyFrame: true, data: data))
      }
    }
    var arrived: [[UInt8]] = []
    for await frame in incoming.frames {
      arrived.append(frame.data)
      if arrived.count == frames.count { break }
    }
    try await sending.value
    // Not in one expectation: the values would be printed.
    let isEqual = arrived == frames
    #expect(isEqual)
    #expect(await a.statistics.remoteAddress == before)
    let (sent, taken) = (await a.report.outboundRTP, await b.report.inboundRTP)
    #expect(sent.count == 1 && taken.count == 1 && sent[0].ssrc == taken[0].ssrc && sent[0].mid == taken[0].mid)
    #expect(sent[0].codec == taken[0].codec && taken[0].packetsReceived > 30 && sent[0].packetsSent >= taken[0].packetsReceived)
    // The peer's feedback takes the place of the first guess.
    while await a.statistics.availableOutgoingBitrate == 1_000_000 {
      try await video.send(.init(timestamp: 90_000, isKeyFrame: true, data: frames[0]))
      try await Task.sleep(for: .milliseconds(20))
    }
    #expect(await a.statistics.availableOutgoingBitrate ?? 0 >= 50_000)
    #expect(await b.statistics.availableOutgoingBitrate == nil)
    try await channel.send("still here")
    await a.close()
    await b.close()
    _ = await (first, second)
  }

  // RFC 3389: the silence of a source that pauses is told, and the peer is given it as what it is.
  @Test(arguments: ["PCMU", "G722"])
  func `a source that pauses is heard as comfort noise, and then as sound again`(codec: String) async throws {
    let (a, b) = (try PeerConnection(Self.local), try PeerConnection(Self.local))
    let audio = try await a.addTransceiver(.audio, .sendonly)
    try await audio.setCodecPreferences([codec, "CN"])
    try await audio.setComfortNoise(true)
    let received = PeerTracks()
    async let first: Void = Self.signal(a, to: b) { _ in }
    async let second: Void = Self.signal(b, to: a) { event in
      if case .track(let transceiver) = event { await received.add(transceiver) }
    }
    try await Self.exchange(a, b)
    try await a.waitUntilConnected()
    let incoming = try await received.next()
    #expect(await audio.codecs.first?.name == codec)
    var (frames, noises) = (incoming.frames.makeAsyncIterator(), incoming.noise.makeAsyncIterator())
    let loud = [UInt8](repeating: 0x80, count: 160)
    for start in [UInt32(0), 16_000] {
      try await audio.send(.init(timestamp: start, isKeyFrame: true, data: loud))
      #expect(await frames.next()?.data == loud)
      let noise = try #require(await noises.next())
      #expect(noise.level == -127 && noise.reflection.isEmpty)
    }
    await a.close()
    await b.close()
    _ = await (first, second)
  }

  @Test func `what cannot be is a typed error`() async throws {
    let peer = try PeerConnection(Self.local)
    // A candidate may overtake its description, but a thousand do not.
    await #expect(throws: PeerError.self) {
      for _ in 0..<1000 { try await peer.add(.init("candidate:1 1 udp 1 192.0.2.1 9 typ host", mid: "0")) }
    }
    await #expect(throws: PeerError.self) { try await peer.setRemoteDescription(.init(.answer, sdp: "v=0")) }
    await #expect(throws: PeerError.self) { _ = try await peer.createAnswer() }
    var options = DataChannel.Options()
    (options.maximumRetransmits, options.maximumPacketLifetime) = (1, .seconds(1))
    let channel = try await peer.createDataChannel("x")
    await #expect(throws: PeerError.self) { try await channel.send("too early") }
    await peer.close()
    await #expect(throws: PeerError.self) { _ = try await peer.createOffer() }
    for await _ in channel.messages {}
    #expect(await channel.waitUntilOpen() == false)
  }
}

@Suite struct ICEServerTests {
  private static func fails(_ url: String, username: String = "ann", credential: String = "secret") -> PeerError.Code? {
    var configuration = PeerConnection.Configuration()
    configuration.iceServers = [.init(urls: [url], username: username, credential: credential)]
    do throws(PeerError) {
      _ = try PeerConnection(configuration)
      return nil
    } catch { return error.code }
  }

  // RFC 7064 §3.1, RFC 7065 §3.1.
  @Test(arguments: [
    "stun:example.org", "stun:192.0.2.1:3478", "STUN:[2001:db8::1]:3478", "stun:[2001:db8::1]", "turn:example.org",
    "turn:example.org:80?transport=udp", "turn:example.org?transport=TCP", "turns:example.org", "turns:example.org:443?transport=tcp",
    "turns:example.org?transport=udp",
  ])
  func `a server's URL is taken`(_ url: String) { #expect(Self.fails(url) == nil) }

  @Test(arguments: [
    "", "example.org", "http://example.org", "stun:", "stun::3478", "stun:example.org:0", "stun:example.org:65536", "stun:example.org:x",
    "stun:example.org:+1", "stun:example.org?transport=udp", "stun://example.org", "stun:[2001:db8::1", "stun:[example.org]",
    "turn:example.org?transport=sctp", "turn:example.org?", "turns:example.org?transport=sctp", "turn:user@example.org",
  ])
  func `what is no server's URL is a syntax error`(_ url: String) { #expect(Self.fails(url) == .syntax) }

  // W3C WebRTC §4.4.1.6.
  @Test func `a TURN server needs a name and a password, a certificate has to be one, and there is an end to servers`() {
    #expect(Self.fails("turn:example.org", username: "") == .invalidAccess)
    #expect(Self.fails("turns:example.org", credential: "") == .invalidAccess)
    #expect(Self.fails("stun:example.org", username: "", credential: "") == nil)
    var configuration = PeerConnection.Configuration()
    configuration.turnTrust = .certificates(pem: "no certificate")
    configuration.iceServers = [.init(urls: ["turns:example.org"], username: "ann", credential: "secret")]
    #expect(throws: PeerError.self) { _ = try PeerConnection(configuration) }
    configuration.iceServers = [.init(urls: Array(repeating: "stun:example.org", count: 17))]
    #expect(throws: PeerError.self) { _ = try PeerConnection(configuration) }
  }
}

/// Tracks as they come.
private actor PeerTracks {
  private var tracks: [MediaTransceiver] = []
  private var waiters: [CheckedContinuation<MediaTransceiver, Never>] = []

  func add(_ track: MediaTransceiver) {
    if let waiter = waiters.popLast() { waiter.resume(returning: track) } else { tracks.append(track) }
  }

  func next() async throws -> MediaTransceiver {
    if !tracks.isEmpty { return tracks.removeFirst() }
    return await withCheckedContinuation { waiters.append($0) }
  }
}

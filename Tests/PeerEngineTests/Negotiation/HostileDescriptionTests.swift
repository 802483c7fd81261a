import MartletICE
import MartletPeerEngine
import MartletSDP
import TestSupport
import Testing

@Suite struct HostileDescriptionTests {
  private func call() throws -> (a: NegotiatingPeer, b: NegotiatingPeer, offer: SessionDescription) {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    try a.negotiation.addTrack(.audio, "audio")
    try a.negotiation.addTransceiver(.video, rids: ["q", "f"])
    try a.negotiation.openDataChannels()
    try exchange(&a, &b)
    (_, _) = (a.taken(), b.taken())
    let offer = try a.negotiation.setLocalDescription().session
    return (a, b, offer)
  }

  /// It must be refused with this error, and nothing must have changed.
  private func expectRefusal(_ peer: NegotiatingPeer, _ type: SDPType, _ session: SessionDescription, _ expected: String) {
    var peer = peer
    let before = (peer.negotiation.signalingState, peer.negotiation.transceivers, peer.negotiation.remoteDescription)
    var reason = "none"
    do { try peer.negotiation.setRemoteDescription(type, session) } catch { reason = error.description }
    #expect(reason.contains(expected))
    #expect(peer.negotiation.signalingState == before.0 && peer.negotiation.transceivers == before.1)
    #expect(peer.negotiation.remoteDescription == before.2 && peer.taken().isEmpty)
  }

  // RFC 3264 §8, RFC 8842 §5.5
  @Test func `an offer that breaks the session is refused`() throws {
    let (_, b, offer) = try call()
    var changed = offer
    changed.media.removeLast()
    changed.groups = [.bundle(["0", "1"])]
    expectRefusal(b, .offer, changed, "an offer with 2 sections where there are 3 already")
    changed = offer
    changed.media.swapAt(0, 1)
    expectRefusal(b, .offer, changed, "in the place of the audio with mid 0")
    changed = offer
    for index in changed.media.indices { changed.media[index].fingerprints[0].bytes[0] ^= 1 }
    expectRefusal(b, .offer, changed, "the certificate of another peer")
    for index in changed.media.indices { changed.media[index].fingerprints[0].algorithm = "md5" }
    expectRefusal(b, .offer, changed, "no fingerprint by")
    changed = offer
    changed.media[0].transport = .init(rawValue: "RTP/AVP")
    expectRefusal(b, .offer, changed, "not encrypted")
    changed = offer
    for _ in 0..<128 { changed.media.append(changed.media[2]) }
    expectRefusal(b, .offer, changed, "sections exceed the limit of 128")
  }

  // RFC 3264 §6, RFC 8843 §7.3, RFC 8839 §4.4.3
  @Test func `an answer that does not fit is refused`() throws {
    var (a, b, offer) = try call()
    _ = a.taken()
    try b.negotiation.setRemoteDescription(.offer, offer)
    let answer = try b.negotiation.setLocalDescription().session
    var changed = answer
    changed.media.removeLast()
    changed.groups = [.bundle(["0", "1"])]
    expectRefusal(a, .answer, changed, "an answer with 2 sections")
    changed = answer
    changed.groups = [.bundle(["0", "2"])]
    expectRefusal(a, .answer, changed, "leaves it out of the bundle")
    changed = answer
    changed.media[1].hasRTCPMux = false
    expectRefusal(a, .answer, changed, "without a=rtcp-mux")
    changed = answer
    for index in changed.media.indices { changed.media[index].iceUfrag = "otherfragment" }
    expectRefusal(a, .answer, changed, "changes the ICE credentials without a restart")
    changed = answer
    changed.media[0].setup = .actpass
    expectRefusal(a, .answer, changed, "a=setup:active or a=setup:passive")
    try a.negotiation.setRemoteDescription(.answer, answer)
  }

  // RFC 8829 §5.3.1
  @Test func `what cannot share the transport is rejected`() throws {
    var a = NegotiatingPeer("a", seed: 1)
    for kind in [TrackKind.audio, .video, .video] { try a.negotiation.addTransceiver(kind) }
    let offer = try a.negotiation.createOffer()
    func answer(_ change: (inout SessionDescription) -> Void) throws -> [Bool] {
      var changed = offer, b = NegotiatingPeer("b", seed: 2)
      change(&changed)
      try b.negotiation.setRemoteDescription(.offer, changed)
      let answer = try b.negotiation.setLocalDescription().session
      try answer.validateAnswer(to: changed)
      b.drain()
      #expect(b.negotiation.transceivers.count == answer.media.filter { !$0.isRejected }.count)
      return answer.media.map(\.isRejected)
    }
    #expect(try answer { $0.groups = [] } == [false, true, true])
    #expect(try answer { $0.groups = [.bundle(["0", "2"])] } == [false, true, false])
    #expect(try answer { $0.groups = [.bundle(["0"]), .bundle(["1", "2"])] } == [false, true, true])
    #expect(try answer { $0.media[1].hasRTCPMux = false } == [false, true, false])
    #expect(try answer { $0.media[1].codecs = [RTPCodec(77, "theora", clockRate: 90000)] } == [false, true, false])
    #expect(try answer { $0.media[2].codecs = $0.media[2].codecs.filter { !$0.isPrimary } } == [false, false, true])
    #expect(try answer { for index in 0...2 { $0.media[index].port = 0 } } == [true, true, true])
    // Bundle-only leaves the transport to the first.
    #expect(
      try answer { offer in
        for index in 1...2 {
          (offer.media[index].port, offer.media[index].isBundleOnly) = (0, true)
          (offer.media[index].iceUfrag, offer.media[index].icePwd, offer.media[index].fingerprints) = (nil, nil, [])
        }
      } == [false, false, false])
  }

  @Test func `what a peer may make grow has limits`() throws {
    var (_, b, offer) = try call()
    let rids = (0..<40).map { "r\($0)" }
    offer.media[1].rids = rids.map { RID(id: $0, isSend: true) }
    offer.media[1].simulcast = Simulcast(send: rids.map { [.init(rid: $0)] })
    offer.media[0].msids = (0..<100).map { MediaStreamID(stream: "s\($0)") } + [MediaStreamID(stream: String(repeating: "x", count: 4000))]
    try b.negotiation.setRemoteDescription(.offer, offer)
    let answer = try b.negotiation.setLocalDescription().session
    #expect(answer.media[1].rids.count == 8 && b.negotiation.transceiver(mid: "0")?.receiver.streams.count == 16)
  }

  /// Lines that go, come twice, change places or lose bytes: whatever still parses is taken or refused, and the session lives.
  @Test(arguments: seeds(20)) func `garbled descriptions never break a session`(_ seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let (_, b, offer) = try call()
    let lines = offer.write().split(separator: "\r\n").map(String.init)
    for _ in 0..<25 {
      var garbled = lines
      for _ in 0...Int.random(in: 0..<4, using: &random) {
        let place = Int.random(in: 4..<garbled.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: garbled.remove(at: place)
        case 1: garbled.insert(garbled[place], at: Int.random(in: 4..<garbled.count, using: &random))
        case 2: garbled.swapAt(place, Int.random(in: 4..<garbled.count, using: &random))
        default: garbled[place] = String(garbled[place].dropLast(Int.random(in: 0..<garbled[place].count, using: &random)))
        }
      }
      guard let session = try? SessionDescription(garbled.joined(separator: "\r\n")) else { continue }
      var peer = b
      guard (try? peer.negotiation.setRemoteDescription(.offer, session)) != nil else { continue }
      let answer = try peer.negotiation.setLocalDescription().session
      _ = try carried(answer)
      try answer.validateForWebRTC(as: .answer)
      _ = peer.taken()
      let next = try peer.negotiation.createOffer()
      try next.validateForWebRTC(as: .offer)
    }
  }
}

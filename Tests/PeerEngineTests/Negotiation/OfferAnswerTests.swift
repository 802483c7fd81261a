import MartletCrypto
import MartletICE
import MartletPeerEngine
import MartletRTP
import MartletSDP
import Testing

@Suite struct OfferAnswerTests {
  private static let directions: [MediaDirection] = [.sendrecv, .sendonly, .recvonly, .inactive]

  // RFC 8829 §5.2, 5.3
  @Test func `audio, video and data are offered and answered over one transport`() throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    try a.negotiation.addTrack(.audio, "microphone", streams: ["s"])
    try a.negotiation.addTrack(.video, "camera", streams: ["s"])
    try a.negotiation.openDataChannels()
    try exchange(&a, &b)
    #expect(b.events.names == ["track", "track", "media", "have-remote-offer", "connect", "media", "data", "stable"])
    #expect(a.events.names == ["needed", "media", "have-local-offer", "connect", "media", "data", "stable"])
    #expect(b.negotiation.transceivers.map(\.receiver.track) == ["microphone", "camera"])
    #expect(b.negotiation.transceivers.map(\.receiver.streams) == [["s"], ["s"]])
    #expect(b.negotiation.transceivers.map(\.currentDirection) == [.recvonly, .recvonly])
    #expect(b.media.outgoing.isEmpty && a.media.outgoing.count == 2)
    #expect(a.negotiation.dtlsRole == .server && b.negotiation.dtlsRole == .client)
    #expect(a.events.connects.map(\.iceRole) == [.controlling] && b.events.connects.map(\.iceRole) == [.controlled])
    #expect(!a.negotiation.needsNegotiation && !b.negotiation.needsNegotiation)
  }

  // RFC 8829 §5.2.1
  @Test func `an offer says everything that a peer needs`() throws {
    var a = NegotiatingPeer("a", seed: 1)
    let id = try a.negotiation.addTrack(.video, "camera", streams: ["s"])
    a.negotiation.addLocalCandidate(try ICECandidate("1 1 udp 2130706431 192.0.2.1 5000 typ host"))
    let offer = try a.negotiation.createOffer()
    try offer.validateForWebRTC(as: .offer)
    let section = offer.media[0]
    let encoding = try #require(a.negotiation.transceiver(id)?.sender.encodings.first)
    #expect(section.port == 9 && section.transport == .udpTLSRTPSAVPF && section.connection == .unspecified)
    #expect(section.mid == "0" && offer.groups == [.bundle(["0"])])
    #expect(section.setup == .actpass && section.iceOptions == ["trickle"] && section.fingerprints.count == 1)
    #expect(section.iceUfrag == a.local.fragment && section.icePwd == a.local.password)
    #expect(section.hasRTCPMux && section.hasReducedSizeRTCP && offer.allowsMixedExtensions)
    #expect(section.msids == [MediaStreamID(stream: "s", track: "camera")])
    let groups = [("FID", encoding.rtx), ("FEC-FR", encoding.fec)].map { SSRCGroup(semantics: $0.0, ssrcs: [encoding.ssrc, $0.1]) }
    #expect(section.ssrcGroups == groups)
    #expect(Set(section.ssrcs.map(\.name)) == ["cname", "msid"])
    #expect(section.candidates == ["1 1 udp 2130706431 192.0.2.1 5000 typ host"] && !section.hasEndOfCandidates)
    #expect(section.codecs == CodecSet.video)
    #expect(section.extensions.map(\.id).allSatisfy { 1...14 ~= $0 })
    a.negotiation.endOfLocalCandidates()
    try a.negotiation.setLocalDescription(.offer, offer)
    #expect(a.negotiation.localDescription?.media[0].hasEndOfCandidates == true)
  }

  // RFC 3264 §6.1
  @Test(arguments: directions, directions)
  func `an answer has the directions that both want`(_ offered: MediaDirection, _ wanted: MediaDirection) throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    try a.negotiation.addTransceiver(.audio, offered)
    try b.negotiation.setRemoteDescription(.offer, try carried(try a.negotiation.setLocalDescription().session))
    let id = try #require(b.negotiation.transceiver(mid: "0")?.id)
    try b.negotiation.setDirection(id, wanted)
    try a.negotiation.setRemoteDescription(.answer, try carried(try b.negotiation.setLocalDescription().session))
    expectAgreement(a, b)
    #expect(b.negotiation.transceiver(id)?.currentDirection == offered.inverted.intersection(wanted))
    // W3C WebRTC §4.7.3: an answer that gives all the offer allowed leaves nothing to negotiate.
    #expect(!a.negotiation.needsNegotiation && !b.negotiation.needsNegotiation)
  }

  @Test(arguments: 1...7) func `any mixture of audio, video and data is negotiated, from either side`(_ mixture: Int) throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    if mixture & 1 != 0 { try a.negotiation.addTrack(.audio, "audio") }
    if mixture & 2 != 0 { try a.negotiation.addTrack(.video, "video") }
    if mixture & 4 != 0 { try a.negotiation.openDataChannels() }
    if mixture & 1 != 0 { try b.negotiation.addTrack(.audio, "audio") }
    if mixture & 2 != 0 { try b.negotiation.addTrack(.video, "video") }
    try exchange(&a, &b)
    #expect(a.negotiation.currentLocalDescription?.media.count == mixture.nonzeroBitCount)
    #expect(b.negotiation.transceivers.allSatisfy { $0.currentDirection == .sendrecv })
    #expect(a.events.dataChannels.count == (mixture & 4 != 0 ? 1 : 0))
    #expect(!a.negotiation.needsNegotiation && !b.negotiation.needsNegotiation)
    a.events = []
    try exchange(&b, &a)
    #expect(a.events.connects.isEmpty && a.events.restarts.isEmpty && a.events.tracks.isEmpty && a.events.dataChannels.isEmpty)
  }

  // RFC 8829 §5.2.2
  @Test func `a session of data takes up audio and video on the same transport`() throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    try a.negotiation.openDataChannels()
    try exchange(&a, &b)
    #expect(a.events.dataChannels.map(\.remotePort) == [5000] && a.events.dataChannels.map(\.maxMessageSize) == [262_144])
    (a.events, b.events) = ([], [])
    try b.negotiation.addTrack(.audio, "audio")
    try b.negotiation.addTrack(.video, "video")
    try settle(&a, &b)
    #expect(a.negotiation.currentRemoteDescription?.media.map(\.kind) == [.application, .audio, .video])
    #expect(a.events.tracks.count == 2 && a.events.connects.isEmpty && b.events.connects.isEmpty && a.events.restarts.isEmpty)
    #expect(a.media.incoming.map(\.codecs.isEmpty) == [true, false, false])
    #expect(a.negotiation.dtlsRole == .server && b.negotiation.dtlsRole == .client)
    #expect(b.negotiation.currentLocalDescription?.media[0].setup == .actpass)
    #expect(a.negotiation.currentLocalDescription?.media[0].setup == .passive)
  }

  // RFC 8829 §5.9: an offer says what is received from then on.
  @Test func `what an offer adds is received before its answer comes`() throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    try a.negotiation.addTrack(.audio, "audio")
    try exchange(&a, &b)
    try a.negotiation.addTransceiver(.video, .recvonly)
    try a.negotiation.setLocalDescription()
    #expect(a.media.incoming.map(\.mid) == ["0", "1"])
    #expect(a.media.incoming[1].codecs.count == CodecSet.video.count && a.media.outgoing.map(\.mid) == ["0"])
    try a.negotiation.setLocalDescription(.rollback)
    #expect(a.media.incoming.count == 1)
  }

  // RFC 3264 §8.3.2, RFC 8843 §9.1
  @Test func `numbers keep their meaning when the other side offers`() throws {
    var a = NegotiatingPeer("a", seed: 1)
    var b = NegotiatingPeer("b", seed: 2) { configuration in
      configuration.videoCodecs = CodecSet.coded(102, "VP8") + CodecSet.coded(96, "VP9", "profile-id=0") + CodecSet.coded(120, "H265")
      configuration.videoExtensions = [.rid: .sendrecv, .mid: .sendrecv, .videoOrientation: .sendrecv]
    }
    try a.negotiation.addTrack(.video, "camera")
    try exchange(&a, &b)
    let before = try #require(b.negotiation.currentLocalDescription?.media[0])
    #expect(before.codecs.map(\.name) == ["VP8", "rtx", "VP9", "rtx", "H265", "rtx"])
    #expect(before.codecs.map(\.payloadType) == [96, 97, 98, 99, 49, 50])
    try b.negotiation.addTrack(.video, "second")
    try b.negotiation.addTransceiver(.video)
    let offer = try b.negotiation.createOffer()
    #expect(offer.media[0].codecs.map(\.payloadType).sorted() == [49, 50, 96, 97, 98, 99])
    for section in offer.media {
      #expect(section.extensions.allSatisfy { map in before.extensions.contains { $0.id == map.id && $0.uri == map.uri } })
      #expect(section.codecs.filter { $0.name == "VP8" }.map(\.payloadType) == [96])
    }
    try offer.validateForWebRTC(as: .offer)
    b.drain()
    try settle(&a, &b)
  }

  // W3C WebRTC §5.4.3
  @Test func `codec preferences order offers and answers`() throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    let id = try a.negotiation.addTransceiver(.video)
    let vp9 = a.negotiation.capabilities(.video).filter { $0.name == "VP9" || $0.associatedPayloadType == 98 }
    let vp8 = a.negotiation.capabilities(.video).filter { $0.name == "VP8" }
    try a.negotiation.setCodecPreferences(id, vp9 + vp8)
    try b.negotiation.setRemoteDescription(.offer, try carried(try a.negotiation.setLocalDescription().session))
    #expect(a.negotiation.localDescription?.media[0].codecs.map(\.name) == ["VP9", "rtx", "VP8"])
    let other = try #require(b.negotiation.transceivers.first?.id)
    try b.negotiation.setCodecPreferences(other, vp8 + vp9)
    try b.negotiation.setDirection(other, .sendrecv)
    try a.negotiation.setRemoteDescription(.answer, try carried(try b.negotiation.setLocalDescription().session))
    expectAgreement(a, b)
    #expect(a.media.outgoing[0].codecs.map(\.name) == ["VP8", "VP9", "rtx"])
    #expect(a.media.outgoing[0].encodings[0].parameters.rtx == nil)
    #expect(throws: NegotiationError.self) { try a.negotiation.setCodecPreferences(id, [RTPCodec(1, "x", clockRate: 1)]) }
    #expect(throws: NegotiationError.self) { try a.negotiation.setCodecPreferences(id, vp9.filter { !$0.isPrimary }) }
  }

  // RFC 8829 §5.3.1
  @Test func `what has no codec in common is rejected, and the rest goes on`() throws {
    var a = NegotiatingPeer("a", seed: 1) { $0.audioCodecs = [RTPCodec(99, "speex", clockRate: 16000)] }
    var b = NegotiatingPeer("b", seed: 2)
    try a.negotiation.addTrack(.audio, "audio")
    try a.negotiation.addTrack(.video, "video")
    try exchange(&a, &b)
    #expect(a.negotiation.currentRemoteDescription?.media.map(\.isRejected) == [true, false])
    #expect(a.events.names.contains("rejected 0") && b.events.names.contains("rejected 0"))
    #expect(a.negotiation.transceivers.map(\.mid) == ["1"] && b.negotiation.transceivers.map(\.mid) == ["1"])
    #expect(!a.negotiation.needsNegotiation && !b.negotiation.needsNegotiation)
  }

  // RFC 8842 §5.3
  @Test func `a server may wait for the handshake`() throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2, isLite: true) { $0.answeredSetup = .passive }
    try a.negotiation.openDataChannels()
    try exchange(&a, &b)
    #expect(a.negotiation.dtlsRole == .client && b.negotiation.dtlsRole == .server)
    #expect(a.events.connects.first?.isLite == true && b.events.connects.first?.isLite == false)
  }

  // RFC 8829 §4.1.10.1
  @Test func `a provisional answer begins the transport, and the answer need not repeat it`() throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    try a.negotiation.addTrack(.audio, "audio")
    try b.negotiation.setRemoteDescription(.offer, try carried(try a.negotiation.setLocalDescription().session))
    try b.negotiation.setLocalDescription(.pranswer, try b.negotiation.createAnswer())
    try a.negotiation.setRemoteDescription(.pranswer, try carried(try #require(b.negotiation.localDescription)))
    #expect(a.negotiation.signalingState == .haveRemotePranswer && b.negotiation.signalingState == .haveLocalPranswer)
    #expect(a.taken().connects.count == 1 && b.taken().connects.count == 1)
    expectMedia(from: a, to: b)
    try b.negotiation.setLocalDescription(.answer, try b.negotiation.createAnswer())
    try a.negotiation.setRemoteDescription(.answer, try carried(try #require(b.negotiation.localDescription)))
    a.drain()
    b.drain()
    expectAgreement(a, b)
    #expect(a.events.connects.isEmpty && b.events.connects.isEmpty)
  }
}

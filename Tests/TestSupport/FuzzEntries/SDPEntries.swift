import MartletPrimitives
import MartletSDP

/// Session descriptions: what parses comes back, and whatever is asked of it, it answers.
extension FuzzEntry {
  static let sessionDescriptions = [sdp]

  private static let offer = """
    v=0
    o=- 4770224827381393883 2 IN IP4 127.0.0.1
    s=-
    t=0 0
    a=group:BUNDLE 0 1 2
    a=msid-semantic: WMS s
    a=ice-lite
    m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0
    c=IN IP4 0.0.0.0
    b=AS:64
    a=rtcp:9 IN IP6 ::
    a=candidate:1 1 udp 2122194687 127.0.0.1 44201 typ host generation 0
    a=end-of-candidates
    a=ice-ufrag:aVWQ
    a=ice-pwd:pQz0m5BLSrZ5ZNYkO+X3IQFj
    a=ice-options:trickle ice2
    a=fingerprint:sha-1 47:D4:B4:CE:6A:AC:DC:04:20:77:A7:25:D8:0D:5D:C9:2C:F4:7A:A7
    a=setup:actpass
    a=mid:0
    a=extmap:2/recvonly urn:x a
    a=extmap-allow-mixed
    a=sendonly
    a=msid:s t
    a=rtcp-mux
    a=rtpmap:111 opus/48000/2
    a=rtcp-fb:* transport-cc
    a=fmtp:111 minptime=10;useinbandfec=1
    a=rtpmap:63 red/48000/2
    a=fmtp:63 111/111
    a=ptime:2.5
    m=video 0/2 RTP/SAVPF 102 103
    a=bundle-only
    a=mid:1
    a=rtpmap:102 H264/90000
    a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
    a=rtcp-fb:102 nack pli
    a=rtpmap:103 rtx/90000
    a=fmtp:103 apt=102
    a=ssrc-group:FID 1 2
    a=ssrc:1 cname:c
    a=rid:q send pt=102;max-width=1
    a=rid:h send
    a=simulcast:send ~q,h recv a
    m=application 1 DTLS/SCTP 5000
    a=mid:2
    a=sctpmap:5000 webrtc-datachannel 1024
    a=max-message-size:0
    """

  private static let supported = [
    RTPCodec(1, "H264", clockRate: 90000, parameters: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
    RTPCodec(2, "rtx", clockRate: 90000, parameters: "apt=1"), RTPCodec(3, "opus", clockRate: 48000, channels: 2),
    RTPCodec(4, "red", clockRate: 48000, channels: 2), RTPCodec(5, "AV1", clockRate: 90000), RTPCodec(6, "H265", clockRate: 90000),
  ]

  private static let sdp = FuzzEntry("sdp", seeds: [Array(offer.utf8)]) { bytes in
    let text = String(decoding: bytes, as: UTF8.self)
    let session: SessionDescription
    do throws(SDPError) { session = try SessionDescription(text) } catch {
      require(!error.description.isEmpty, "an error without a reason")
      return
    }
    let written = session.write()
    // Upper case, spaces and `UTF-8` repaired: a description grows, but not much.
    require(written.utf8.count <= 4 * text.utf8.count + 64, "a description that grows")
    if written.utf8.count <= SDPLimits().textBytes {
      require((try? SessionDescription(written)) == session, "a description that reads differently")
    }
    for type in [SDPType.offer, .answer] { try? session.validateForWebRTC(as: type) }
    let answer = session.answerSkeleton(sessionID: 1)
    require((try? SessionDescription(answer.write())) == answer, "an answer that reads differently")
    require(
      (try? answer.validateAnswer(to: session)) != nil || session.media.contains { $0.mid == nil } || hasRepeats(session),
      "an answer that does not fit")
    for section in session.media { negotiate(section) }
  }

  private static func hasRepeats(_ session: SessionDescription) -> Bool { Set(session.media.map(\.mid)).count < session.media.count }

  private static func negotiate(_ section: MediaDescription) {
    let offered = section.codecs
    for order in [CodecOrder.offerer, .answerer] {
      let answer = CodecNegotiation.answer(to: offered, supported: supported, order: order)
      let types = Set(offered.map(\.payloadType))
      require(answer.allSatisfy { types.contains($0.payloadType) }, "a payload type that was not offered")
      require(Set(answer.map(\.payloadType)).count == answer.count, "a payload type twice")
    }
    var copy = section
    copy.codecs = offered
    require(copy.codecs == offered || Set(offered.map(\.payloadType)).count < offered.count, "codecs that read differently")
    _ = (section.simulcast?.answered { _ in true }, section.dataChannelForm, section.sctpPort)
  }
}

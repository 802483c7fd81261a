internal import MartletCodecs
internal import MartletPeerEngine
internal import MartletSDP

/// The codecs that the server takes and gives, in the order in which it prefers them.
internal enum CodecPreferences {
  /// Of publishers: H.264 first, since every output carries it as it is.
  internal static let incomingVideo = video(feedback: [.nack, .pli, .fir, .remb, .transportCC]) + CodecSet.ulpfec
  /// To viewers, who tell what their end of the path takes.
  internal static let outgoingVideo = video(feedback: [.nack, .pli, .fir, .remb, .transportCC]) + [CodecSet.flexFEC]
  /// Of rooms, both ways: VP8 first, which all browsers send and show, in layers too.
  internal static let roomVideo: [RTPCodec] = {
    let all = video(feedback: [.nack, .pli, .fir, .remb, .transportCC])
    let first = all.first { $0.isNamed("VP8") }?.payloadType
    let isFirst = { (codec: RTPCodec) in codec.payloadType == first || codec.associatedPayloadType == first }
    return all.filter(isFirst) + all.filter { !isFirst($0) }
  }()
  /// What rooms send besides: as much of it as the viewer loses packets.
  internal static let roomVideoSent = roomVideo + [CodecSet.flexFEC]
  internal static let roomAudioSent =
    incomingAudio + [RTPCodec(63, "red", clockRate: 48_000, channels: 2, parameters: "111/111", feedback: [.transportCC])]
  internal static let incomingAudio = audio(feedback: [.transportCC])
  internal static let outgoingAudio = audio(feedback: [.transportCC])

  /// Constrained baseline before main before high: what every browser decodes comes first.
  private static let h264Profiles = ["42e01f", "42001f", "4d001f", "64001f"]

  private static func video(feedback: [RTCPFeedback.Kind]) -> [RTPCodec] {
    var codecs: [RTPCodec] = []
    func add(_ name: String, _ parameters: String = "") {
      let type = UInt8(96 + codecs.count)
      codecs.append(RTPCodec(type, name, clockRate: 90_000, parameters: FormatParameters(parameters), feedback: feedback))
      codecs.append(RTPCodec(type + 1, "rtx", clockRate: 90_000, parameters: FormatParameters("apt=\(type)")))
    }
    for profile in h264Profiles { add("H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=\(profile)") }
    for profile in h264Profiles.prefix(2) { add("H264", "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=\(profile)") }
    add("VP8")
    add("VP9", "profile-id=0")
    add("AV1")
    add("H265", "level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST")
    return codecs
  }

  private static func audio(feedback: [RTCPFeedback.Kind]) -> [RTPCodec] {
    [
      RTPCodec(
        111, "opus", clockRate: 48_000, channels: 2, parameters: FormatParameters("minptime=10;useinbandfec=1;stereo=1"), feedback: feedback
      ),
      RTPCodec(9, "G722", clockRate: 8000, feedback: feedback),
      RTPCodec(0, "PCMU", clockRate: 8000, feedback: feedback), RTPCodec(8, "PCMA", clockRate: 8000, feedback: feedback),
    ]
  }
}

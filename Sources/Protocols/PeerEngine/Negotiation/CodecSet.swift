package import MartletRTP
package import MartletSDP

/// The codecs and header extensions of a session unless its configuration says otherwise: what browsers have, since packets are
/// forwarded and nobody here decodes.
package enum CodecSet {
  package static let audio: [RTPCodec] = [
    RTPCodec(
      111, "opus", clockRate: 48000, channels: 2, parameters: "minptime=10;useinbandfec=1;stereo=1", feedback: [.transportCC]),
    // Behind Opus: it is used where the application puts it in front.
    RTPCodec(63, "red", clockRate: 48000, channels: 2, parameters: "111/111", feedback: [.transportCC]),
    RTPCodec(9, "G722", clockRate: 8000, feedback: [.transportCC]),
    RTPCodec(0, "PCMU", clockRate: 8000, feedback: [.transportCC]),
    RTPCodec(8, "PCMA", clockRate: 8000, feedback: [.transportCC]),
    // Of the codecs above with the same clock; Opus says itself what silence sounds like.
    RTPCodec(13, "CN", clockRate: 8000), RTPCodec(105, "CN", clockRate: 16000),
    RTPCodec(110, "telephone-event", clockRate: 48000, parameters: "0-15"),
    RTPCodec(126, "telephone-event", clockRate: 8000, parameters: "0-15"),
  ]

  /// Constrained baseline before the other profiles: what everything decodes comes first.
  package static let video: [RTPCodec] =
    h264(102, "42e01f") + h264(104, "42001f") + h264(106, "4d001f") + h264(108, "640032")
    + h264(112, "42e01f", packetizationMode: 0) + h264(114, "42001f", packetizationMode: 0)
    + coded(96, "VP8") + coded(98, "VP9", "profile-id=0") + coded(45, "AV1", "level-idx=5;profile=0;tier=0")
    + coded(49, "H265", "level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST") + ulpfec + [flexFEC]

  /// ULPFEC in RED, with RED's retransmissions: behind the codecs that it protects. Browsers use it with VP8, VP9 and AV1, and only as
  /// far as packets are lost.
  package static let ulpfec = [
    RTPCodec(116, "red", clockRate: 90000),
    RTPCodec(117, "rtx", clockRate: 90000, parameters: "apt=116"),
    RTPCodec(118, "ulpfec", clockRate: 90000),
  ]

  package static let flexFEC = RTPCodec(119, "flexfec-03", clockRate: 90000, parameters: "repair-window=10000000")

  /// A codec of video with the feedback of today's browsers, and its retransmissions under the next payload type.
  package static func coded(_ payloadType: UInt8, _ name: String, _ parameters: FormatParameters = "") -> [RTPCodec] {
    [
      RTPCodec(payloadType, name, clockRate: 90000, parameters: parameters, feedback: [.remb, .transportCC, .fir, .nack, .pli]),
      RTPCodec(payloadType + 1, "rtx", clockRate: 90000, parameters: FormatParameters("apt=\(payloadType)")),
    ]
  }

  private static func h264(_ payloadType: UInt8, _ profile: String, packetizationMode: Int = 1) -> [RTPCodec] {
    coded(
      payloadType, "H264",
      FormatParameters("level-asymmetry-allowed=1;packetization-mode=\(packetizationMode);profile-level-id=\(profile)"))
  }

  package static let audioExtensions: [HeaderExtensionKind: MediaDirection] = [
    .mid: .sendrecv, .audioLevel: .sendrecv, .transportSequenceNumber: .sendrecv, .absoluteSendTime: .sendrecv,
    .absoluteCaptureTime: .sendrecv,
  ]

  package static let videoExtensions: [HeaderExtensionKind: MediaDirection] = [
    .mid: .sendrecv, .rid: .sendrecv, .repairedRID: .sendrecv, .transportSequenceNumber: .sendrecv, .absoluteSendTime: .sendrecv,
    .transmissionOffset: .sendrecv, .absoluteCaptureTime: .sendrecv, .videoOrientation: .sendrecv, .playoutDelay: .sendrecv,
    .dependencyDescriptor: .sendrecv,
  ]
}

import MartletCodecs
import Testing

@Suite struct CodecTests {
  @Test func `each codec knows its kind`() {
    #expect(Codec.allCases.filter { $0.kind == .video } == [.h264, .hevc, .av1, .vp8, .vp9])
    #expect(Codec.data.kind == .data)
  }
}

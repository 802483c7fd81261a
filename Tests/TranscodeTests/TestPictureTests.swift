import MartletTranscode
import Testing

@Suite struct TestPictureTests {}

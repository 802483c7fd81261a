import MartletEndpoints
import Testing

@Suite struct FLVFormatTests {}

`timescale 1ns / 1ps
`default_nettype none

module jet_tagger_table0 (
    input wire [5:0] address,
    output wire [3:0] word
);
    reg [3:0] rom [0:63];
    initial begin
        rom[0] = 4'ha; rom[1] = 4'hb; rom[2] = 4'he; rom[3] = 4'h3;
        rom[4] = 4'hd; rom[5] = 4'h6; rom[6] = 4'h4; rom[7] = 4'h4;
        rom[8] = 4'h6; rom[9] = 4'hd; rom[10] = 4'h3; rom[11] = 4'he;
        rom[12] = 4'hb; rom[13] = 4'ha; rom[14] = 4'hb; rom[15] = 4'he;
        rom[16] = 4'h3; rom[17] = 4'hd; rom[18] = 4'h6; rom[19] = 4'h4;
        rom[20] = 4'h4; rom[21] = 4'h6; rom[22] = 4'hd; rom[23] = 4'h3;
        rom[24] = 4'he; rom[25] = 4'hb; rom[26] = 4'ha; rom[27] = 4'hb;
        rom[28] = 4'he; rom[29] = 4'h3; rom[30] = 4'hd; rom[31] = 4'h6;
        rom[32] = 4'h4; rom[33] = 4'h4; rom[34] = 4'h6; rom[35] = 4'hd;
        rom[36] = 4'h3; rom[37] = 4'he; rom[38] = 4'hb; rom[39] = 4'ha;
        rom[40] = 4'hb; rom[41] = 4'he; rom[42] = 4'h3; rom[43] = 4'hd;
        rom[44] = 4'h6; rom[45] = 4'h4; rom[46] = 4'h4; rom[47] = 4'h6;
        rom[48] = 4'hd; rom[49] = 4'h3; rom[50] = 4'he; rom[51] = 4'hb;
        rom[52] = 4'ha; rom[53] = 4'hb; rom[54] = 4'he; rom[55] = 4'h3;
        rom[56] = 4'hd; rom[57] = 4'h6; rom[58] = 4'h4; rom[59] = 4'h4;
        rom[60] = 4'h6; rom[61] = 4'hd; rom[62] = 4'h3; rom[63] = 4'he;
    end
    assign word = rom[address];
endmodule

`default_nettype wire
